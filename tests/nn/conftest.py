"""Makes the helpers beside the tests importable, and the PyTorch results: stored ones, and live ones where torch is installed."""
import functools
import importlib.util
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data"
sys.path.append(str(HERE))


@functools.cache
def traces(source):
    """What tests/data/make_nn_traces.py makes: read from its file, or made now by the torch that is installed."""
    if source == "stored":
        return json.loads((DATA / "nn_traces.json").read_text())
    spec = importlib.util.spec_from_file_location("make_nn_traces", DATA / "make_nn_traces.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(json.dumps(module.traces()))


SOURCES = ["stored", *(["live"] if importlib.util.find_spec("torch") else [])]


@pytest.fixture(params=SOURCES)
def torch_traces(request):
    """PyTorch's results."""
    return traces(request.param)
