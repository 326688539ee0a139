import os
import signal
import sys

import msgspec
import pytest

from services.devstack import processes, procfs
from services.devstack.processes import Program, Running
from services.devstack.stack import Stack, StackError

SLEEPER = Program([sys.executable, "-c", "import time; time.sleep(60)"], processes.inherited_environment())
BUSY = "import threading, time; [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(8)]"
THREADS = Program([sys.executable, "-c", BUSY], processes.inherited_environment())
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def sleeper(stack):
    started = processes.start(stack, "sleeper", SLEEPER)
    yield started
    processes.kill(stack, "sleeper")


def claim(stack: Stack, name: str, pid: int, started: str) -> None:
    """Leave a pid file as an earlier stack would have."""
    (stack.run_dir / f"{name}.json").write_bytes(msgspec.json.encode(Running(pid, started, 0.0)))


def test_a_started_process_is_found_again_by_its_name(stack, sleeper):
    assert processes.running(stack, "sleeper") == sleeper
    assert processes.names(stack) == ["sleeper"]


def test_a_process_leads_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(sleeper):
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_one_that_is_told_to_stand_still_does_with_all_its_threads_and_goes_on_when_told(stack):
    started = processes.start(stack, "threads", THREADS)
    assert not procfs.stands_still(started.pid)
    processes.send(stack, "threads", signal.SIGSTOP)
    assert procfs.stands_still(started.pid)
    processes.send(stack, "threads", signal.SIGCONT)
    processes.kill(stack, "threads")


def test_a_stopped_process_is_gone_with_its_pid_file(stack, sleeper):
    assert processes.stop(stack, ["sleeper"], grace_seconds=10) == ["sleeper"]
    assert procfs.start_mark(sleeper.pid) is None
    assert processes.names(stack) == []


def test_a_process_that_died_by_itself_is_not_running(stack, sleeper):
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert processes.running(stack, "sleeper") is None


def test_one_that_died_by_itself_is_collected_when_another_takes_its_name(stack, sleeper):
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    processes.start(stack, "sleeper", SLEEPER)
    assert sleeper not in processes._children


def test_a_pid_that_the_system_gave_to_somebody_else_is_never_signalled(stack, sleeper):
    claim(stack, "kafka", sleeper.pid, "an earlier boot/17")
    assert processes.stop(stack, ["kafka"], grace_seconds=1) == []
    assert processes.running(stack, "sleeper") == sleeper


def test_a_stale_pid_file_is_removed_and_said_so(stack, sleeper, capsys):
    claim(stack, "kafka", sleeper.pid, "an earlier boot/17")
    assert processes.running(stack, "kafka") is None
    assert processes.names(stack) == ["sleeper"]
    assert f"pid {sleeper.pid}" in capsys.readouterr().out


def test_a_pid_file_that_was_cut_off_is_stale(stack):
    (stack.run_dir / "kafka.json").write_text('{"pid": 12')
    assert processes.running(stack, "kafka") is None
    assert processes.names(stack) == []


def test_one_that_does_not_hear_is_killed_after_its_grace(stack, capsys):
    program = Program([sys.executable, "-c", DEAF], processes.inherited_environment())
    started = processes.start(stack, "deaf", program)
    processes.wait_ready(stack, "deaf", 10, lambda: "deaf" in processes.log_path(stack, "deaf").read_text())
    processes.stop(stack, ["deaf"], grace_seconds=0.2)
    assert procfs.start_mark(started.pid) is None
    assert "did not end" in capsys.readouterr().out


def test_one_that_ends_while_starting_shows_the_last_lines_of_its_log(stack):
    program = Program([sys.executable, "-c", "raise SystemExit('no licence')"], processes.inherited_environment())
    processes.start(stack, "broken", program)
    with pytest.raises(StackError, match=r"broken: ended while starting(?s:.*)no licence"):
        processes.wait_ready(stack, "broken", 10, lambda: False)


def test_one_that_takes_too_long_says_so_with_its_log(stack, sleeper):
    with pytest.raises(StackError, match=r"sleeper: starting took more than 0 s(?s:.*)sleeper\.log"):
        processes.wait_ready(stack, "sleeper", 0.1, lambda: False)


def test_a_tool_that_fails_shows_its_command_and_its_last_words(tmp_path):
    tool = [sys.executable, "-c", "raise SystemExit('no network')"]
    with pytest.raises(StackError, match=r"failed(?s:.*)no network"):
        processes.run_tool("kafka", tool, limit_seconds=10, log=tmp_path / "tool.log")


def test_a_child_gets_no_setting_of_its_parent_but_those_it_is_given(monkeypatch):
    monkeypatch.setenv("RECADO_SEND_SLOTS", "7")
    monkeypatch.setenv("MEMCACHED_SERVERS", "10.0.0.1:11211")
    program = processes.python("services.sender", {"RECADO_METRICS_PORT": "8102"})
    ours = {name for name in program.environment if name.startswith("RECADO_") or name == "MEMCACHED_SERVERS"}
    assert ours == {"RECADO_METRICS_PORT"}


def test_our_own_start_mark_does_not_change():
    assert procfs.start_mark(os.getpid()) == procfs.start_mark(os.getpid()) is not None
