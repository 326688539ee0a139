"""What the operating system knows of a process or a port. Read only; nothing is started or signalled here."""

import socket
import subprocess
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_LISTEN: Final = "0A"  # state column of /proc/net/tcp


def start_mark(pid: int) -> str | None:
    """When the process was started, as a mark that a later process with the same pid does not have.

    None when there is no such process, or only its zombie.
    """
    if PROC.is_dir():
        return _mark_from_proc(pid)
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def _mark_from_proc(pid: int) -> str | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    if fields[0] in "ZX":
        return None
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}"  # field 22 of stat: start time in ticks since boot


def stands_still(pid: int) -> bool:
    """Whether every thread of it is stopped; a process that is gone is, too. Where nobody tells, it is believed."""
    threads = PROC / str(pid) / "task"
    if not threads.is_dir():
        return True
    return all(_state_of(thread / "stat") in {"T", "Z", "X", ""} for thread in threads.iterdir())


def _state_of(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command_of(pid: int) -> str:
    """A process by the first and last word of its command line; empty when it cannot be read."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    words = raw.decode(errors="replace").strip("\0").split("\0")
    return " … ".join([Path(words[0]).name, *words[1:][-1:]]).splitlines()[0][:60]


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listener(port: int) -> int | None:
    """The pid that listens on a TCP port, when it can be seen (own processes, or as root)."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for descriptor in PROC.glob("[0-9]*/fd/*"):
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.removeprefix("socket:[").removesuffix("]") in inodes:
            return int(descriptor.parts[2])
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("net/tcp", "net/tcp6"):
        path = PROC / table
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
