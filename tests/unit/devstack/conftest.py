import pytest

from services.devstack.stack import Stack
from services.runtime.settings import Settings


@pytest.fixture
def stack(tmp_path):
    """A stack of which nothing runs; nothing in these tests listens on a port."""
    return Stack.of(Settings(port_base=20000, state_dir=str(tmp_path)))
