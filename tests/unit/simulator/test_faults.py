"""Which call a fault strikes, and how often."""

import msgspec
import pytest

from services.simulator.faults import Fault, Faults, Match, hits

MATCHES = {
    "an empty match hits everything": ({}, True),
    "a part of the path": ({"path": "/messages"}, True),
    "another path": ({"path": "/media"}, False),
    "a part of the body": ({"body_contains": "Hola"}, True),
    "text beyond ASCII in the body": ({"body_contains": "señora"}, True),
    "another body": ({"body_contains": "Adiós"}, False),
    "path and body must both hit": ({"path": "/messages", "body_contains": "Adiós"}, False),
}


def fault(**changes):
    return msgspec.convert({"action": {"kind": "status"}, **changes}, Fault)


def strikes(faults, calls, path="/v25.0/1/messages", body=b"{}"):
    return [faults.strike(path, body) is not None for _ in range(calls)]


@pytest.mark.parametrize(("match", "hit"), MATCHES.values(), ids=MATCHES.keys())
def test_match(match, hit):
    assert hits(msgspec.convert(match, Match), "/v25.0/1/messages", "Hola señora".encode()) is hit


def test_a_fault_strikes_as_often_as_it_says():
    faults = Faults(lambda: 0.5)
    faults.arm(fault(times=2))
    assert strikes(faults, 4) == [True, True, False, False]


def test_a_fault_without_times_strikes_until_it_is_deleted():
    faults = Faults(lambda: 0.5)
    name = faults.arm(fault())
    assert strikes(faults, 3) == [True, True, True]
    assert faults.disarm(name) == 1
    assert strikes(faults, 1) == [False]


def test_a_call_that_does_not_match_uses_nothing_up():
    faults = Faults(lambda: 0.5)
    faults.arm(fault(times=1, match={"path": "/messages"}))
    assert strikes(faults, 2, path="/other") == [False, False]
    assert strikes(faults, 2) == [True, False]


def test_a_fault_that_chance_spares_uses_nothing_up():
    rolls = iter([0.9, 0.1, 0.1])
    faults = Faults(lambda: next(rolls))
    faults.arm(fault(times=1, probability=0.5))
    assert strikes(faults, 3) == [False, True, False]


def test_the_oldest_fault_strikes_first():
    faults = Faults(lambda: 0.5)
    faults.arm(fault(action={"kind": "hang"}, times=1))
    faults.arm(fault(action={"kind": "garbage"}))
    actions = [faults.strike("/", b"") for _ in range(2)]
    assert [action and action.kind for action in actions] == ["hang", "garbage"]


def test_all_faults_can_be_deleted_at_once():
    faults = Faults(lambda: 0.5)
    for _ in range(3):
        faults.arm(fault())
    assert faults.disarm() == 3
    assert strikes(faults, 1) == [False]


def test_state_shows_what_is_left_of_a_fault():
    faults = Faults(lambda: 0.5)
    name = faults.arm(fault(times=3, match={"path": "/messages"}))
    strikes(faults, 1)
    shown = faults.shown()
    assert [(each["id"], each["left"], each["struck"], each["match"]["path"]) for each in shown] == [
        (name, 2, 1, "/messages")
    ]


NONSENSE = {
    "no action": {},
    "an unknown kind": {"action": {"kind": "explode"}},
    "a probability over 1": {"action": {"kind": "hang"}, "probability": 2},
    "no times at all": {"action": {"kind": "hang"}, "times": 0},
    "a misspelt field": {"action": {"kind": "hang"}, "tims": 1},
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, Fault)
