"""Named points at which a setting kills the process."""

import signal
import subprocess
import sys

import pytest

from services.runtime.crash import POINTS, CrashPoints

THREE_PASSES = """
from services.runtime.crash import CrashPoints
points = CrashPoints({room!r}, {crash_at!r})
for number in range(3):
    points.reach("after_poll")
    points.reach("after_produce")
    print("passed", number, flush=True)
"""


def run(room, crash_at):
    """The process's end, and the passes that it lived through."""
    code = THREE_PASSES.format(room=room, crash_at=crash_at)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return ended.returncode, [line[7:] for line in ended.stdout.splitlines() if line.startswith("passed ")]


@pytest.mark.parametrize(("n", "passes"), [(1, []), (2, ["0"]), (3, ["0", "1"])])
def test_a_process_dies_at_the_n_th_pass_as_by_kill_9(n, passes):
    assert run("sender", f"sender:after_produce:{n}") == (-signal.SIGKILL, passes)


@pytest.mark.parametrize(
    "crash_at", ["", "notifier:after_poll:1", "sender:after_commit_db:1", "sender:after_poll:4"],
    ids=["nothing set", "another room", "a point that is not passed", "more passes than there are"],
)  # fmt: skip
def test_otherwise_it_lives(crash_at):
    assert run("sender", crash_at) == (0, ["0", "1", "2"])


def test_a_point_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"RECADO_CRASH_AT=.*after_lunch.*after_poll"):
        CrashPoints("sender", "sender:after_lunch:1")


@pytest.mark.parametrize("crash_at", ["sender", "sender:after_poll", "sender:after_poll:x", "a:after_poll:1:2"])
def test_a_setting_of_another_form_is_refused_with_its_name(crash_at):
    with pytest.raises(ValueError, match="RECADO_CRASH_AT"):
        CrashPoints("sender", crash_at)


def test_the_points_are_those_of_the_architecture():
    assert POINTS == (
        "after_poll", "after_commit_db", "after_first_produce", "after_produce", "after_commit_offsets",
        "after_claim", "after_answer",
    )  # fmt: skip
