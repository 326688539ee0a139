"""Programs that the stack needs: found, or installed from the distribution where that is allowed."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.devstack import processes
from services.devstack.progress import say
from services.devstack.stack import Stack, StackError

INSTALL_SECONDS: Final = 900.0


def find(program: str) -> str | None:
    # Debian's /usr/sbin is not on every user's PATH
    return shutil.which(program) or shutil.which(program, path="/usr/local/bin:/usr/bin:/usr/sbin:/opt/homebrew/bin")


def ensure(stack: Stack, program: str, package: str) -> str:
    """The program's path; raises StackError with what to type when it cannot be had."""
    path = find(program)
    if path is None:
        install(stack, program, package)
        path = find(program)
    if path is None:
        raise StackError(f"{program}: package {package} is installed but has no `{program}` on the PATH")
    return path


def install(stack: Stack, program: str, package: str) -> None:
    """Install by apt-get when we are root on a Debian; the index is only refreshed when the package is not in it."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise StackError(f"{program} is missing. Install it with your system's packages (Debian's name: {package})")
    if os.geteuid() != 0:
        raise StackError(f"{program} is missing. Type: sudo apt-get install --no-install-recommends {package}")
    say(program, f"not found: installing Debian's package {package}")
    command = ["env", "DEBIAN_FRONTEND=noninteractive", apt, "install", "-y", "--no-install-recommends", package]
    try:
        _run(stack, program, command)
    except StackError:
        say(program, "refreshing the list of packages first")
        _run(stack, program, [apt, "update", "-q"])
        _run(stack, program, command)


def _run(stack: Stack, who: str, command: Sequence[str]) -> None:
    log = Path(stack.logs_dir) / f"install-{who}.log"
    processes.run_tool(who, command, limit_seconds=INSTALL_SECONDS, log=log)
