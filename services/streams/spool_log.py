"""The spool's files: segments that are appended and synced, read in order, removed when drained; damage is set aside.

One folder a copy, locked by its process; one thread uses it. A folder without segments is an empty spool. Not here: the
bytes (spool_frames.py), when and how much is written (spool.py).
"""

import contextlib
import errno
import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.runtime import metrics
from services.runtime.clock import random64
from services.runtime.logs import get_logger
from services.streams import spool_files as files
from services.streams import spool_frames as frames
from services.streams.errors import StartUpError
from services.streams.spool_frames import Entry, Frame, Gap

SEGMENT_BYTES: Final = 16 * 1024 * 1024  # what a drained spool gives back at a time
_NAME: Final = re.compile(rf"\d{{10}}-[0-9a-f]{{{2 * frames.MARK_BYTES}}}\.log")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Sync = Callable[[int], None]


class DiskError(Exception):
    """Nothing of this append is promised: the disk is full, refuses, or could not say that it has the bytes."""


@dataclass
class Segment:
    """`size`: up to here it was synced; what lies behind was never promised. `frames` counts from the drained place."""

    path: Path
    mark: bytes
    size: int
    frames: int = 0


class Lot(NamedTuple):
    """Entries in order, all of one segment; `end` is the place behind them."""

    entries: list[Entry]
    segment: Segment
    end: int


class Log:
    """The folder of one copy. `found` counts what was set aside, by kind."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, sync: Sync = os.fdatasync) -> None:
        self.folder = folder
        self.found: Counter[str] = Counter()
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._segments: list[Segment] = []
        self._at = 0
        """The place in the first segment up to which everything was drained."""
        self._number = 0
        self._writing = -1  # descriptor of the last segment while it is open for appending
        self._lock = -1
        self._position = -1
        self._log = get_logger()

    @property
    def is_empty(self) -> bool:
        return not self._segments

    @property
    def size_bytes(self) -> int:
        return sum(segment.size for segment in self._segments) - self._at

    @property
    def records(self) -> int:
        """How many are left; what is found damaged is no longer one."""
        return sum(segment.frames for segment in self._segments)

    def open(self) -> None:
        """Take the folder and find what a former process left. Raises StartUpError with what to do."""
        try:
            self._take()
            for path in sorted(self.folder.glob("*.log")):
                self._find(path)
            self._go_on()
        except StartUpError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise StartUpError(
                f"the spool {self.folder} cannot be used ({error.strerror or error}): name a folder on a volume that "
                "outlives this process in RECADO_SPOOL_DIR, and let it be writable"
            ) from error

    def close(self) -> None:
        for descriptor in (self._writing, self._position, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._writing = self._position = self._lock = -1

    def append(self, payloads: Sequence[bytes]) -> None:
        """Return when all of them are on the disk. Raises DiskError: none of them is promised then."""
        try:
            if files.is_nearly_full(self.folder, sum(map(len, payloads))):
                raise DiskError("the volume is nearly full")
            segment = self._open_for_appending()
            data = b"".join([frames.frame(segment.mark, payload) for payload in payloads])
            files.write_all(self._writing, data, segment.size)
            self._sync(self._writing)
        except OSError as error:
            self._seal()
            raise DiskError(error.strerror or str(error)) from error
        segment.size += len(data)
        segment.frames += len(payloads)

    def first(self) -> Entry | None:
        """The oldest entry that can be read, its place unchanged."""
        lot = self.read(1, 1)
        return lot.entries[0] if lot else None

    def read(self, most: int, most_bytes: int) -> Lot | None:
        """Return the next entries (at least one), None when there are none. What is damaged on the way is set aside."""
        while self._segments:
            lot = self._read(self._segments[0], most, most_bytes)
            if lot.entries:
                return lot
            self.drop(lot)
        return None

    def drop(self, lot: Lot) -> None:
        """The entries of a lot (the first ones) are drained; a segment without more is removed."""
        segment = lot.segment
        segment.frames = max(0, segment.frames - len(lot.entries))
        if lot.end >= segment.size:
            self._remove(segment)
        else:
            self._at = lot.end
            with contextlib.suppress(OSError):  # without it these are drained once more after a restart
                os.pwrite(self._position, frames.position(segment.mark, lot.end), 0)

    def set_aside(self, segment: Segment, place: int | str, data: bytes, kind: str) -> None:
        """Keep what cannot be drained under `damaged/`, count it and say so. Raises OSError: then it is still there."""
        path = self.folder / "damaged" / f"{segment.path.stem}-{place}.{kind}"
        files.keep(path, data)
        self.found[kind] += 1
        metrics.SPOOL_DAMAGED.labels(kind).inc()
        self._log.error("spool_damaged", kind=kind, bytes=len(data), kept_in=str(path))

    def _take(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = files.opened(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartUpError(f"another process uses the spool {self.folder}: each copy has one of its own") from error
        self._position = files.opened(self.folder / "position", os.O_RDWR | os.O_CREAT)
        try:
            files.keep(self.folder / "trial", frames.MAGIC)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._log.error("spool_disk_full", folder=str(self.folder))  # draining is what makes room
        (self.folder / "trial").unlink(missing_ok=True)
        files.sync_folder(self.folder.parent)

    def _find(self, path: Path) -> None:
        if not _NAME.fullmatch(path.name):
            raise StartUpError(f"{path} is no segment of a spool: move it elsewhere")
        number, _, mark = path.stem.partition("-")
        self._number = max(self._number, int(number))
        self._segments.append(Segment(path, bytes.fromhex(mark), path.stat().st_size))

    def _go_on(self) -> None:
        """Begin where the former process stopped draining, and cut off what its last write left unfinished."""
        if not self._segments:
            return
        known = frames.parse_position(os.pread(self._position, 64, 0))
        first = self._segments[0]
        if known and known[0] == first.mark and known[1] <= first.size:
            self._at = known[1]
        for segment in list(self._segments):
            self._count(segment)
        if self._at >= first.size:
            self._remove(first)
        if self._segments:
            self._log.warning("spool_found", records=self.records, bytes=self.size_bytes, folder=str(self.folder))

    def _count(self, segment: Segment) -> None:
        with files.reading(segment.path) as read:
            start = self._at if segment is self._segments[0] and self._at else frames.first_frame(read, segment.mark)
            for part in frames.scan(read, segment.size, segment.mark, start):
                if isinstance(part, Frame):
                    segment.frames += 1
                elif part.torn:
                    self._cut(segment, part, read(part.start, part.end - part.start))

    def _cut(self, segment: Segment, gap: Gap, data: bytes) -> None:
        self.set_aside(segment, gap.start, data, "torn")
        os.truncate(segment.path, gap.start)
        segment.size = gap.start

    def _read(self, segment: Segment, most: int, most_bytes: int) -> Lot:
        entries: list[Entry] = []
        size, end = 0, segment.size
        with files.reading(segment.path) as read:
            start = self._at or frames.first_frame(read, segment.mark)
            for part in frames.scan(read, segment.size, segment.mark, start):
                if len(entries) == most or (entries and size >= most_bytes):
                    end = part.start
                    break
                if isinstance(part, Gap):
                    if entries:  # set aside once it is next: a lot may be read again
                        end = part.start
                        break
                    self.set_aside(segment, part.start, read(part.start, part.end - part.start), "damaged")
                    self._at = part.end
                elif entry := self._entry(segment, part, taken=bool(entries)):
                    entries.append(entry)
                    size += len(part.payload)
                elif entries:
                    end = part.start
                    break
        return Lot(entries, segment, end)

    def _entry(self, segment: Segment, frame: Frame, *, taken: bool) -> Entry | None:
        """Decode a frame; one that this version cannot read is set aside like a damaged one, when it is next."""
        try:
            return frames.decode_entry(frame.payload)
        except msgspec.DecodeError:
            if not taken:
                self.set_aside(segment, frame.start, frame.payload, "unreadable")
                self._at = frame.end
            return None

    def _open_for_appending(self) -> Segment:
        if self._writing >= 0 and self._segments[-1].size < self._segment_bytes:
            return self._segments[-1]
        self._seal()
        self._number += 1
        mark = random64().to_bytes(frames.MARK_BYTES, "big")
        path = self.folder / f"{self._number:010d}-{mark.hex()}.log"
        self._writing = files.opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        segment = Segment(path, mark, frames.HEAD_BYTES)
        self._segments.append(segment)
        files.write_all(self._writing, frames.head(mark), 0)
        os.fsync(self._writing)
        files.sync_folder(self.folder)
        return segment

    def _seal(self) -> None:
        """Append no more to the last segment. After a failed sync its pages may be gone from memory and not be on the
        disk, and a second sync would say that all is well: so no file is written again that has failed once."""
        if self._writing < 0:
            return
        descriptor, self._writing = self._writing, -1
        last = self._segments[-1]
        try:
            os.ftruncate(descriptor, last.size)
        except OSError as error:  # what lies behind was never promised, and is not read
            self._log.warning("spool_not_cut", err=error.strerror, segment=last.path.name)
        os.close(descriptor)
        if last.size <= (self._at if last is self._segments[0] and self._at else frames.HEAD_BYTES):
            self._remove(last)

    def _remove(self, segment: Segment) -> None:
        if segment is self._segments[-1] and self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        if segment is self._segments[0]:
            self._at = 0
        self._segments.remove(segment)
        try:
            segment.path.unlink(missing_ok=True)  # back after a power loss: drained once more
        except OSError as error:
            self._log.error("spool_segment_not_removed", err=error.strerror, segment=segment.path.name)
