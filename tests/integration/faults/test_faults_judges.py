"""The fault bench's judges see what they are there for: each of these was right, and one thing of it was spoilt."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.faults.occurrences import at_the_companies, repeated, unlike
from tests.faults.talk import Arrival, Word, disorder, missing, quantile, seconds_of, sent_out_of_order
from tests.faults.verdict import sent_twice

THEN = datetime(2026, 11, 24, 12, tzinfo=UTC)


def word(n: int, *, inbound: bool = True) -> Word:
    return Word("company_1", "593980000001", n, inbound, THEN)


def arrivals(*pairs: tuple[Word, int]) -> dict[str, Arrival]:
    """Words in the order in which they came, each with its sequence."""
    return {one.text: Arrival(one.text, "conv_1", sequence, THEN + timedelta(seconds=1)) for one, sequence in pairs}


def call(message: str, attempt: int, *, taken: bool = True, text: str = "hola") -> dict[str, object]:
    body = {"biz_opaque_callback_data": f"r1.{message}.{attempt}", "text": {"body": text}}
    answer = {"messages": [{"id": "wamid.1"}]} if taken else {"error": {"code": 130429}}
    return {"body": json.dumps(body), "answer": {"status": 200 if taken else 429, "body": json.dumps(answer)}}


def test_one_text_under_one_id_is_fine_however_often_it_is_said():
    assert unlike({"e1": Counter({b"a": 3})}, {"e1": Counter({b"a": 2})}) == []
    assert repeated({"e1": Counter({b"a": 3}), "e2": Counter({b"b": 1})}) == 1


def test_a_second_text_under_an_id_is_seen_on_either_side():
    assert len(unlike({"e1": Counter({b"a": 1, b"b": 1})}, {})) == 1
    pushed = at_the_companies([{"headers": {"webhook-id": "e1"}, "body": "b"}])
    assert len(unlike({"e1": Counter({b"a": 1})}, pushed)) == 1


def test_an_arrival_that_never_stood_on_kafka_is_seen():
    assert unlike({}, {"e1": Counter({b"a": 1})}) == ["event e1: arrived, and never stood on Kafka"]


def test_a_message_that_whatsapp_took_twice_is_seen_and_a_throttled_try_is_none():
    assert sent_twice([call("msg_1", 1, taken=False), call("msg_1", 2)]) == []
    assert sent_twice([call("msg_1", 1), call("msg_1", 2)]) == ["msg_1: WhatsApp took it 2 times"]


def test_words_in_order_are_fine():
    came = arrivals((word(1), 1), (word(2), 2), (word(3, inbound=False), 3))
    said = [word(1), word(2), word(3, inbound=False)]
    assert disorder(said, came) == missing(said, came) == []
    assert seconds_of(said, came) == [1.0, 1.0, 1.0]


def test_a_word_that_never_came_is_seen():
    assert missing([word(1), word(2)], arrivals((word(1), 1))) == [f"`{word(2).text}` never arrived"]


def test_events_that_came_against_their_numbers_are_seen():
    assert len(disorder([], arrivals((word(2), 2), (word(1), 1)))) == 1


def test_words_that_were_numbered_against_their_order_are_seen():
    assert len(disorder([word(1), word(2)], arrivals((word(2), 1), (word(1), 2)))) == 1


def test_words_that_were_sent_out_of_order_are_seen():
    first, second = (call("msg_1", 1, text=word(n, inbound=False).text) for n in (1, 2))
    assert sent_out_of_order([first, second]) == []
    assert len(sent_out_of_order([second, first])) == 1


def test_the_p99_of_a_hundred_is_the_worst_of_them():
    hundred = [float(n) for n in range(100)]
    assert (quantile(hundred, 0.5), quantile(hundred, 0.99), quantile(hundred, 1)) == (50.0, 99.0, 99.0)
