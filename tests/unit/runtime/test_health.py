"""What a room says of itself."""

import threading
from collections.abc import Iterator

import pytest

from services.runtime.health import Health, State, serve


def health_of(**checks):
    health = Health()
    for name, status in checks.items():
        health.set(name, status)
    return health


@pytest.mark.parametrize(
    ("checks", "worst"),
    [
        ({}, "ok"),
        ({"kafka": "ok", "database": "ok"}, "ok"),
        ({"kafka": "ok", "database": "degraded"}, "degraded"),
        ({"kafka": "down", "database": "degraded", "cache": "ok"}, "down"),
    ],
)
def test_a_room_is_as_well_as_its_worst_check(checks, worst):
    status, body = health_of(**checks).answer()
    assert (status, body["status"]) == (worst, worst)
    assert {name: check["status"] for name, check in body["checks"].items()} == checks


def test_a_check_says_since_when_and_why():
    health = Health()
    health.set("kafka", "down", "no broker answers")
    check = health.answer()[1]["checks"]["kafka"]
    assert check["detail"] == "no broker answers"
    assert check["since"].endswith("Z")


def test_since_stays_while_the_status_does(monkeypatch):
    moments = iter(["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"])
    monkeypatch.setattr("services.runtime.health.rfc3339", lambda _: next(moments))
    health = health_of(kafka="down")
    health.set("kafka", "down", "still")
    assert health.answer()[1]["checks"]["kafka"]["since"] == "2026-01-01T00:00:00.000Z"
    health.set("kafka", "ok")
    assert health.answer()[1]["checks"]["kafka"]["since"] == "2026-01-02T00:00:00.000Z"


def test_a_probe_is_asked_at_each_question():
    answers: Iterator[tuple[State, str]] = iter([("ok", ""), ("down", "the loop stands still")])
    health = Health()
    health.probe("loop", lambda: next(answers))
    assert [health.answer()[0], health.answer()[0]] == ["ok", "down"]


def test_an_answer_is_not_changed_by_what_comes_after_it():
    health = health_of(kafka="ok")
    _, body = health.answer()
    health.set("database", "down")
    assert set(body["checks"]) == {"kafka"}


def test_port_zero_serves_nowhere():
    before = threading.active_count()
    serve(Health(), 0)
    assert threading.active_count() == before
