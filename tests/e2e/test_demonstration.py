"""The demonstration on a whole corridor, in any order: the books balance, and so does an independent reading."""

import shlex
import subprocess

import msgspec
import pytest

from services.devstack import demo, demo_report
from services.devstack.demo_report import Report
from tests.integration.conftest import Corridor
from tests.reference.actual import disagreements, read_actual
from tests.reference.model import read_evidence

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module", params=SEEDS)
async def report(corridor: Corridor, request: pytest.FixtureRequest) -> Report:
    restart = demo.restarting(corridor.stack, "normaliser", corridor.demo) if request.param == SEEDS[0] else None
    return await demo.demonstrate(corridor.demo, seed=request.param, restart=restart)


def test_the_demonstration_balances(report):
    assert report.good, demo_report.text(report)


def test_an_independent_reading_finds_the_same_rows_and_events(corridor, report):
    predicted = read_evidence(corridor.demo, report.evidence)
    assert disagreements(predicted, read_actual(corridor.demo, report.evidence)) == []


def test_what_the_model_predicts_is_not_little(corridor, report):
    """A model that read nothing would agree with everything."""
    predicted = read_evidence(corridor.demo, report.evidence)
    assert len(predicted.inbound) >= report.messages * 0.6
    assert sum(last == "read" for last in predicted.outbound.values()) >= report.messages
    assert predicted.account_events.total() >= report.messages * 0.05
    assert predicted.quarantined == 5


def test_its_six_lines_work_as_they_are_printed(report):
    answers = [subprocess.run(shlex.split(line), capture_output=True, text=True, check=False) for line in report.curls]
    assert [answer.returncode for answer in answers] == [0] * 6
    sent, message, timeline, conversations, inbound, challenge = (answer.stdout for answer in answers)
    assert msgspec.json.decode(sent)["status"] == "sent"
    assert msgspec.json.decode(message)["status"] == "read"
    assert [row["status"] for row in msgspec.json.decode(timeline)["data"]][:2] == ["unknown", "sent"]
    assert len(msgspec.json.decode(conversations)["data"]) == 2
    assert msgspec.json.decode(inbound)["status"] == 200
    assert challenge == "42"


def test_its_report_file_holds_no_secret(corridor, report):
    written = report.to_json().decode()
    assert msgspec.json.decode(written)["balanced"] is True
    secrets = [corridor.demo["app_secret"], *(tenant["agent_token"] for tenant in corridor.demo["tenants"])]
    assert not any(secret in written for secret in secrets)


def test_the_model_disagrees_when_a_row_or_an_event_is_missing(corridor, report):
    """The comparison itself is tried: take one thing away from what really came, and it is named."""
    predicted = read_evidence(corridor.demo, report.evidence)
    actual = read_actual(corridor.demo, report.evidence)
    key = next(iter(predicted.inbound))
    sent = next(message_id for message_id, last in predicted.outbound.items() if last == "read")
    del actual.inbound[key]
    actual.stored[sent]["message_read"] = 0
    found = disagreements(predicted, actual)
    assert len(found) == 2
    assert str(key) in found[0]
    assert sent in found[1]
