"""What PyTorch gives: results stored in tests/data, and made now where torch is installed."""
import functools
import importlib.util
import json
import pathlib

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
SOURCES = ["stored", *(["live"] if importlib.util.find_spec("torch") else [])]


@functools.cache
def traces(source, script, file):
    """What tests/data/<script>.py writes to <file>.json: read from it, or made by the torch that is installed."""
    if source == "stored":
        return json.loads((DATA / f"{file}.json").read_text())
    spec = importlib.util.spec_from_file_location(script, DATA / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(json.dumps(module.traces()))
