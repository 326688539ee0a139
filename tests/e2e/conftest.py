"""The corridor that the integration tests share; what is started there is started once a process."""

from tests.integration.conftest import corridor, stack

__all__ = ["corridor", "stack"]
