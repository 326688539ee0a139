"""Only what is contiguous below may be committed, and never anything lower than before."""

from hypothesis import given
from hypothesis import strategies as st

from services.streams.offsets import Offsets
from services.streams.topics import TopicName

SLOT = (TopicName.RAW, 0)
OTHER = (TopicName.RAW, 1)


def offsets_from(start, *fetched):
    offsets = Offsets()
    offsets.starts(SLOT, start)
    for offset in fetched:
        offsets.fetched(SLOT, offset)
    return offsets


def test_an_open_record_holds_back_the_commit_of_those_behind_it():
    offsets = offsets_from(5, 5, 6, 7)
    offsets.settled(SLOT, 6)
    offsets.settled(SLOT, 7)
    assert offsets.committable() == {}
    offsets.settled(SLOT, 5)
    assert offsets.committable() == {SLOT: 8}


def test_gaps_in_the_log_hold_nothing_back():
    offsets = offsets_from(0, 3, 10, 11)
    offsets.settled(SLOT, 3)
    offsets.settled(SLOT, 10)
    assert offsets.committable() == {SLOT: 11}


def test_what_is_committed_is_not_committed_again():
    offsets = offsets_from(0, 0, 1)
    offsets.settled(SLOT, 0)
    offsets.committed({SLOT: 1})
    assert offsets.committable() == {}
    offsets.settled(SLOT, 1)
    assert offsets.committable() == {SLOT: 2}


def test_a_log_read_again_from_further_back_never_lowers_the_commit():
    offsets = offsets_from(10, 10)
    offsets.settled(SLOT, 10)
    offsets.committed(offsets.committable())
    for again in (4, 5):
        offsets.fetched(SLOT, again)
        offsets.settled(SLOT, again)
    assert offsets.committable() == {}
    assert offsets.position(SLOT) == 11


def test_partitions_do_not_wait_for_each_other():
    offsets = offsets_from(0, 0)
    offsets.starts(OTHER, 0)
    offsets.fetched(OTHER, 0)
    offsets.settled(OTHER, 0)
    assert offsets.committable() == {OTHER: 1}
    assert offsets.open(TopicName.RAW) == 1


@given(st.data())
def test_the_commit_is_always_the_first_open_offset_whatever_the_order_of_settling(data):
    fetched = sorted(data.draw(st.sets(st.integers(0, 60), min_size=1)))
    order = data.draw(st.permutations(fetched))
    offsets = offsets_from(0, *fetched)
    still_open = set(fetched)
    highest = 0
    for offset in order:
        offsets.settled(SLOT, offset)
        still_open.discard(offset)
        below = [one for one in fetched if one < min(still_open, default=61)]
        wanted = max(below) + 1 if below else 0
        committable = offsets.committable()
        assert committable == ({SLOT: wanted} if wanted > highest else {})
        if data.draw(st.booleans()):
            offsets.committed(committable)
            highest = max(highest, committable.get(SLOT, 0))
