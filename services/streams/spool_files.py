"""File operations that the spool needs right: whole writes, files that are found again after a power loss, room left.

Not here: what is in the files (spool_frames.py), and which there are (spool_log.py). Every function raises OSError.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from services.streams.spool_frames import ReadAt

HEADROOM_BYTES: Final = 64 * 1024 * 1024
HEADROOM_SHARE: Final = 0.05  # of a small volume: what is set aside and the next segment must still find room
_PRIVATE: Final = 0o600  # what people wrote to each other


def opened(path: Path, flags: int) -> int:
    """Open a file that only its owner may read, made when the flags say so."""
    return os.open(path, flags | os.O_CLOEXEC, _PRIVATE)


@contextmanager
def reading(path: Path) -> Iterator[ReadAt]:
    """Read a file at given places."""
    descriptor = opened(path, os.O_RDONLY)
    try:
        yield partial(_read_at, descriptor)
    finally:
        os.close(descriptor)


def _read_at(descriptor: int, offset: int, count: int) -> bytes:
    return os.pread(descriptor, count, offset)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write everything: a disk that fills up takes a part and refuses the rest."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def keep(path: Path, data: bytes) -> None:
    """Write a file so that it is there after a power loss, its name too."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A file that was made is only found again after a power loss when its folder was synced too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_nearly_full(folder: Path, wanted_bytes: int) -> bool:
    """Whether the volume would have too little room left after so many bytes more."""
    volume = os.statvfs(folder)
    headroom = min(HEADROOM_BYTES, int(volume.f_blocks * volume.f_frsize * HEADROOM_SHARE))
    return volume.f_bavail * volume.f_frsize < wanted_bytes + headroom
