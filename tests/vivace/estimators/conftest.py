"""One thread for fits of a few rows: the suite measures nothing, and its machines are often busy."""
import pytest

import vivace as vv


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = vv.threads._state["threads"]
    vv.set_num_threads(1)
    yield
    vv.set_num_threads(before)
