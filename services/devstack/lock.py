"""One command at a time may start or stop things in a state folder. Not here: what they do."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from services.devstack.progress import pause, say
from services.devstack.stack import Stack


@contextmanager
def held(stack: Stack) -> Iterator[None]:
    """Wait for the lock and say who holds it; a killed holder frees it by its death."""
    stack.state_dir.mkdir(parents=True, exist_ok=True)
    path = stack.state_dir / "devstack.lock"
    with path.open("a+") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    say("devstack", f"waiting for another command here (pid {path.read_text()}) to finish")
                    told = True
                pause(0.2)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
