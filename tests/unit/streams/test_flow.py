"""Keys stand in their own queues; slots are never taken twice nor lost."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from services.streams.flow import Grant, Queues, Slots
from services.streams.topics import TopicName
from tests.unit.streams.kit import read

A, B = TopicName.SEND_URGENT, TopicName.SEND_BULK


def queues_with(*records):
    queues = Queues((A, B), lambda record: record.key)
    for at, record in enumerate(records):
        queues.add(record, float(at))
    return queues


def taken(queues, topic, most=10):
    return [queued.record.offset for queued in queues.take(topic, most)]


def test_a_keys_second_record_waits_until_the_first_is_settled():
    first, second, other = (read(A, offset=n, key=key) for n, key in enumerate("aab"))
    queues = queues_with(first, second, other)
    assert taken(queues, A) == [0, 2]
    assert queues.ready(A) == 0
    queues.settled(first)
    assert taken(queues, A) == [1]


def test_one_key_in_two_topics_is_two_queues():
    queues = queues_with(read(A, offset=0), read(B, offset=0))
    assert (taken(queues, A), taken(queues, B)) == ([0], [0])


def test_no_more_is_taken_than_asked_for_and_the_longest_waiting_key_first():
    queues = queues_with(*(read(A, offset=n, key=str(n)) for n in range(5)))
    assert (taken(queues, A, 2), taken(queues, A, 2)) == ([0, 1], [2, 3])


def test_records_are_held_until_they_are_settled():
    record = read(A)
    queues = queues_with(record)
    queues.take(A, 1)
    assert queues.held(A) == 1
    queues.settled(record)
    queues.settled(record)
    assert queues.held(A) == 0


@given(st.data())
def test_every_record_comes_once_in_its_keys_order_and_no_key_twice_at_a_time(data):
    keys = data.draw(st.lists(st.sampled_from("abcd"), max_size=40))
    records = [read(A, offset=n, key=key) for n, key in enumerate(keys)]
    queues = queues_with(*records)
    running, seen = {}, defaultdict(list)
    while queues.held(A):
        for queued in queues.take(A, data.draw(st.integers(1, 5))):
            assert queued.record.key not in running
            running[queued.record.key] = queued.record
            seen[queued.record.key].append(queued.record.offset)
        queues.settled(running.pop(data.draw(st.sampled_from(sorted(running)))))
    assert dict(seen) == {key: [r.offset for r in records if r.key == key] for key in set(keys)}


def test_the_last_slots_are_for_urgent_work():
    slots = Slots(4, reserved=1)
    slots.take(3)
    assert (slots.free(urgent=False), slots.free(urgent=True)) == (0, 1)


def test_a_grant_gives_back_each_slot_once_and_tells_of_it():
    slots = Slots(4)
    freed = []
    slots.watch(lambda: freed.append(slots.free(urgent=True)))
    grant = Grant(slots, 3)
    grant.release()
    grant.release(5)
    grant.close()
    assert (slots.free(urgent=True), freed) == (4, [2, 4])
