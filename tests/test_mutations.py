"""The list of mutations is that of today's code: each can be made, and names tests that exist. Making them all takes minutes."""
import importlib.util
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("mutate", HERE / "mutate.py")
mutate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutate)


@pytest.mark.parametrize("what, path, text, replacement, tests", mutate.MUTATIONS, ids=[m[0] for m in mutate.MUTATIONS])
def test_it_can_be_made(what, path, text, replacement, tests):
    assert (HERE.parent / path).read_text().count(text) == 1 and text != replacement
    for test in tests.split():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (HERE / "vivace" / file).read_text() if name else (HERE / "vivace" / file).exists()
