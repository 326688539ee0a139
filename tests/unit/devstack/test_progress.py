import os
import signal

import pytest

from services.devstack import lock, progress
from services.devstack.progress import InterruptedStackError
from services.devstack.stack import StackError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_takes_effect_at_the_next_pause_and_not_before(number):
    with progress.interruptible():
        os.kill(os.getpid(), number)
        with pytest.raises(InterruptedStackError):
            progress.pause(10)


def test_tidying_up_is_not_cut_short_by_a_second_ctrl_c():
    with progress.interruptible(), progress.undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        progress.pause(0.01)


def test_waiting_ends_at_its_limit_with_what_was_waited_for():
    with pytest.raises(StackError, match="kafka: starting took more than 0 s"):
        progress.wait_until("kafka", "starting", 0.05, lambda: False)


def test_a_second_command_waits_for_the_first_and_says_who_that_is(stack, capsys):
    with lock.held(stack), progress.interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(InterruptedStackError), lock.held(stack):
            pytest.fail("two commands at work in one state folder")
    assert f"pid {os.getpid()}" in capsys.readouterr().out


def test_the_lock_is_free_again_when_its_command_has_ended(stack):
    with lock.held(stack):
        pass
    with lock.held(stack):
        pass
