"""GraphModule: a model from a saved graph, without the class that it was written as."""
from . import functional as F
from .module import Module
from .ops import TABLE
from .parameter import Parameter
from .tensor import apply


class GraphModule(Module):
    """Runs a saved graph.

    graphs: {"train": ..., "eval": ...}, each as Graph.describe gives it. parameters: name -> Parameter or Buffer, several names may
    share one.
    Unknown operations, names or references raise ValueError; nothing is imported or executed by name. operations: what makes an
    operation of its attributes, by name.
    """

    def __init__(self, graphs, parameters, operations=TABLE):
        super().__init__()
        self._operations = operations
        self._parameters.update({name: p for name, p in parameters.items() if isinstance(p, Parameter)})
        self._buffers.update({name: p for name, p in parameters.items() if not isinstance(p, Parameter)})
        self.graphs = graphs
        self._steps = {mode: self._prepare(graph) for mode, graph in graphs.items()}

    def _prepare(self, graph):
        known, steps = set(range(len(graph["inputs"]))), []
        for node in graph["nodes"]:
            if node["op"] not in self._operations:
                raise ValueError(f"the graph holds an unknown operation {node['op']!r}")
            for t in node["inputs"]:
                if t is not None and t not in known and t not in self._parameters and t not in self._buffers:
                    raise ValueError(f"the graph refers to {t!r}, which nothing makes")
            known.add(node["out"])
            steps.append((self._operations[node["op"]](**node["attributes"]), node["inputs"], node["out"]))
        if graph["output"] not in known:
            raise ValueError(f"the graph's output {graph['output']!r} is made by nothing")
        return steps

    def forward(self, *inputs):
        mode = "train" if self.training else "eval"
        if len(inputs) != len(self.graphs[mode]["inputs"]):
            raise ValueError(f"this model takes {len(self.graphs[mode]['inputs'])} inputs, got {len(inputs)}")
        values, held = dict(enumerate(inputs)), {**self._parameters, **self._buffers}
        for op, refs, out in self._steps[mode]:
            arguments = [None if t is None else held[t] if isinstance(t, str) else values[t] for t in refs]
            values[out] = F.drawn(op, arguments[0]) if op.random else apply(op, *arguments)
        return values[self.graphs[mode]["output"]]

    def extra_repr(self):
        return f"{len(self._steps['eval'])} operations, {len(set(map(id, self._parameters.values())))} parameters"
