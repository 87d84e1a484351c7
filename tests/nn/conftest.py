"""Makes the helpers beside the tests importable, and the PyTorch results: stored ones, and live ones where torch is installed."""
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parent))

from torch_traces import SOURCES, traces  # noqa: E402


@pytest.fixture(params=SOURCES)
def torch_traces(request):
    """PyTorch's results."""
    return traces(request.param, "make_nn_traces", "nn_traces")
