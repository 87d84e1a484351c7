"""py.typed promises that type checkers can read the package: what classes get while it is imported stands in their text too."""
import ast
import inspect

import pytest
from vivace.nn.graph import Symbol

import vivace as vv
from vivace import nn, optim


def names_in(cls):
    """What the text of `cls` defines, `if TYPE_CHECKING` included."""
    found, bodies = set(), [ast.parse(inspect.getsource(cls)).body[0].body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.If):
                bodies.append(node.body)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found


@pytest.mark.parametrize("cls", [nn.Tensor, nn.Parameter, nn.Buffer, nn.Module, nn.Loss, vv.Trainer, vv.History, Symbol, optim.Adam,
                                 optim.Adam.__mro__[-2], vv.callbacks.Callback])
def test_methods_stand_in_the_class(cls):
    own = {name for name in vars(cls) if not name.startswith("_") or name in ("__add__", "__radd__", "__pow__", "__getitem__", "__neg__")}
    assert own - set(getattr(cls, "__slots__", ())) <= names_in(cls)
