"""What is synced is found again, in order, whatever ended the process; what is damaged is set aside, never skipped."""

import errno
import os

import pytest

from services.streams import spool_files
from services.streams import spool_frames as frames
from services.streams.codec import Outgoing
from services.streams.errors import StartUpError
from services.streams.spool_frames import Entry
from services.streams.spool_log import DiskError, Log


def payload(n: int, at_ms: int = 0) -> bytes:
    record = Outgoing("topic", "key", b"%d" % n, (("ce_id", b"name.%d" % n),))
    return frames.encode_entry(Entry(at_ms, f"name.{n}", record))


def payloads(numbers) -> list[bytes]:
    return [payload(n) for n in numbers]


@pytest.fixture
def make(tmp_path):
    made: list[Log] = []

    def make(**more) -> Log:
        """Open the folder; the log before it is gone as after kill -9, and only its descriptors are closed."""
        for one in made:
            one.close()
        log = Log(tmp_path / "spool", **more)
        made.append(log)
        log.open()
        return log

    yield make
    for one in made:
        one.close()


def drained(log: Log, most: int = 7) -> list[int]:
    found = []
    while lot := log.read(most, 10_000_000):
        found += [int(entry.record.value) for entry in lot.entries]
        log.drop(lot)
    return found


def only_segment(log: Log):
    (path,) = log.folder.glob("*.log")
    return path


def aside(log: Log) -> list[str]:
    return sorted(path.suffix for path in (log.folder / "damaged").glob("*"))


def test_everything_comes_out_in_order_over_many_segments_and_nothing_is_left(make):
    log = make(segment_bytes=300)
    for first in range(0, 100, 5):
        log.append(payloads(range(first, first + 5)))
    assert len(list(log.folder.glob("*.log"))) > 5
    assert log.records == 100
    assert drained(log) == list(range(100))
    assert (log.is_empty, log.records, log.size_bytes) == (True, 0, 0)
    assert list(log.folder.glob("*.log")) == []


def test_a_new_process_goes_on_where_the_last_one_stopped_draining(make):
    log = make(segment_bytes=300)
    log.append(payloads(range(3)))
    log.append(payloads(range(3, 40)))
    lot = log.read(5, 10_000)
    assert lot is not None
    log.drop(lot)
    assert drained(make(segment_bytes=300)) == list(range(len(lot.entries), 40))


def test_without_a_position_it_is_drained_once_more(make):
    log = make()
    log.append(payloads(range(10)))
    lot = log.read(4, 10_000)
    assert lot is not None
    log.drop(lot)
    (log.folder / "position").unlink()
    assert drained(make()) == list(range(10))


def test_the_position_of_a_drained_segment_says_nothing_of_a_new_one(make):
    log = make()
    log.append(payloads(range(10)))
    lot = log.read(9, 10_000)
    assert lot is not None
    log.drop(lot)
    assert drained(log) == [9]
    log.append(payloads(range(100, 110)))
    assert drained(make()) == list(range(100, 110))


def test_a_torn_tail_is_cut_off_and_kept_and_what_comes_later_is_appended_behind(make):
    log = make()
    log.append(payloads(range(3)))
    path = only_segment(log)
    os.truncate(path, path.stat().st_size - 5)
    log = make()
    assert log.records == 2
    log.append(payloads([7]))
    assert drained(log) == [0, 1, 7]
    assert aside(log) == [".torn"]
    assert log.found["torn"] == 1


def test_a_damaged_frame_is_set_aside_with_its_bytes_and_the_others_are_drained(make):
    log = make()
    log.append(payloads(range(5)))
    path = only_segment(log)
    data = bytearray(path.read_bytes())
    place = data.index(payload(2)) + 3
    data[place] ^= 16
    path.write_bytes(bytes(data))
    log = make()
    assert log.records == 4
    assert drained(log) == [0, 1, 3, 4]
    assert aside(log) == [".damaged"]
    (kept,) = (log.folder / "damaged").glob("*")
    assert kept.read_bytes() in bytes(data)
    assert b"name.2" in kept.read_bytes()


def test_a_frame_of_another_version_is_set_aside_as_unreadable(make):
    log = make()
    log.append([payload(0), b"\x93from tomorrow", payload(1)])
    assert drained(log) == [0, 1]
    assert aside(log) == [".unreadable"]


def test_a_lot_that_was_not_drained_is_read_again(make):
    log = make()
    log.append(payloads(range(4)))
    assert log.read(2, 10_000) == log.read(2, 10_000)
    assert drained(log) == [0, 1, 2, 3]


def test_what_is_appended_while_a_lot_is_under_way_stays(make):
    log = make()
    log.append(payloads(range(2)))
    lot = log.read(10, 10_000)
    log.append(payloads([2]))
    assert lot is not None
    log.drop(lot)
    assert drained(log) == [2]


def test_after_a_failed_sync_nothing_of_it_is_promised_and_its_file_is_never_written_again(make):
    failing = [False]

    def sync(descriptor):
        if failing[0]:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    log = make(sync=sync)
    log.append(payloads(range(3)))
    first = only_segment(log)
    failing[0] = True
    with pytest.raises(DiskError, match="Input/output"):
        log.append(payloads([3]))
    size = first.stat().st_size
    failing[0] = False
    log.append(payloads([4]))
    assert len(list(log.folder.glob("*.log"))) == 2
    assert first.stat().st_size == size
    assert drained(log) == [0, 1, 2, 4]


def test_a_first_sync_that_fails_leaves_an_empty_spool(make):
    def sync(_descriptor):
        raise OSError(errno.EIO, "Input/output error")

    log = make(sync=sync)
    with pytest.raises(DiskError):
        log.append(payloads([1]))
    assert log.is_empty
    assert list(log.folder.glob("*.log")) == []


def test_half_a_write_on_a_full_disk_is_taken_back(make, monkeypatch):
    log = make()
    log.append(payloads(range(2)))
    write, room = os.pwrite, [30]

    def pwrite(descriptor, data, offset):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(room[0], len(data))
        room[0] -= taken
        return write(descriptor, data[:taken], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(DiskError, match="No space"):
            log.append(payloads([2, 3]))
    log.append(payloads([4]))
    assert drained(make()) == [0, 1, 4]


def test_some_room_is_left_on_a_volume_that_is_nearly_full(make, monkeypatch):
    log = make()
    monkeypatch.setattr(spool_files, "is_nearly_full", lambda *_: True)
    with pytest.raises(DiskError, match="nearly full"):
        log.append(payloads([1]))
    assert log.is_empty


def test_a_full_disk_does_not_keep_a_spool_from_being_drained(make, monkeypatch):
    make().append(payloads(range(3)))

    def keep(_path, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_files, "keep", keep)
    assert drained(make()) == [0, 1, 2]


def test_two_processes_never_share_a_folder(make, tmp_path):
    make()
    with pytest.raises(StartUpError, match="another process"):
        Log(tmp_path / "spool").open()


def test_a_folder_that_cannot_be_written_ends_the_start_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartUpError, match="RECADO_SPOOL_DIR"):
        Log(tmp_path / "file" / "spool").open()


def test_a_strange_file_among_the_segments_ends_the_start(make, tmp_path):
    make()
    (tmp_path / "spool" / "notes.log").write_text("")
    with pytest.raises(StartUpError, match=r"notes\.log is no segment"):
        make()


@pytest.mark.parametrize("step", range(1, 300, 7))
def test_whatever_byte_of_a_file_is_cut_off_or_flipped_the_whole_frames_are_drained(make, step):
    log = make(segment_bytes=150)
    log.append(payloads(range(2)))
    log.append(payloads(range(2, 4)))
    first, second = sorted(log.folder.glob("*.log"))
    data = bytearray(second.read_bytes())
    os.truncate(second, max(0, len(data) - step))
    data = bytearray(first.read_bytes())
    data[step % len(data)] ^= 64
    first.write_bytes(bytes(data))
    found = drained(make())
    assert found == sorted(found)
    assert set(found) <= {0, 1, 2, 3}
    assert len(found) >= 1
    assert len(aside(log)) >= 1 or len(found) == 4
