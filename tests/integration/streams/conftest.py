"""A run of its own for each test of streams."""

import pytest

from tests.integration.streams.kit import Run


@pytest.fixture
def run(kafka_bootstrap: str) -> Run:
    return Run(kafka_bootstrap)
