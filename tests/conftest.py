"""Small nets are trained by whole teams here: what threads do must be seen where a step is not worth a second one."""
import pytest
from vivace.nn.plan import Plan


@pytest.fixture(autouse=True, scope="session")
def every_thread_takes_part():
    """A team that is asked for takes part whole; test_threads.py has what a run does by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "working", lambda plan, threads, rows: threads)
        yield
