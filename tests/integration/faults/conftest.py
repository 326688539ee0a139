"""A stack of their own for the tests that hurt it: nobody else's clients may hang on it. Started once a process."""

import pytest

from tests.faults import stage as stages
from tests.faults.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory):
    """A whole stack under which waits are short (tests/faults/stage.py)."""
    with stages.stage(tmp_path_factory.mktemp("faults")) as one:
        yield one


@pytest.fixture
def whole(stage: Stage):
    """The same, with every room running again afterwards, whatever a failed test left behind."""
    yield stage
    stages.mend(stage)
