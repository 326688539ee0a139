"""The record of calls: order, paging, bounds."""

from services.simulator.calls import Answer, Call
from services.simulator.received import Received


def call(body=b"{}", path="/hook", query=b""):
    return Call("POST", path, query, [(b"host", b"here"), (b"x-empty", b"")], body)


def numbers(page):
    return [item["n"] for item in page["items"]]


def filled(count, **bounds):
    book = Received(**bounds)
    for number in range(1, count + 1):
        book.settle(book.add(call(f"body {number}".encode())), Answer(200, b'{"ok":true}'))
    return book


def test_an_item_says_what_came_and_what_was_answered():
    book = Received()
    book.settle(book.add(call(b'{"to":"x"}', query=b"a=1")), Answer(201, b'{"ok":true}'))
    item = book.page()["items"][0]
    assert item.pop("at").endswith("Z")
    assert item == {
        "n": 1,
        "method": "POST",
        "path": "/hook?a=1",
        "headers": {"host": "here", "x-empty": ""},
        "body": '{"to":"x"}',
        "answer": {"status": 201, "body": '{"ok":true}'},
        "fault": None,
    }


def test_bodies_are_text_and_what_is_no_utf_8_does_no_harm():
    book = Received()
    book.settle(book.add(call("señora".encode())), Answer(200, "¿sí?".encode()))
    book.settle(book.add(call(b"\xff")), Answer(200, b"\xff"))
    assert [(item["body"], item["answer"]["body"]) for item in book.page()["items"]] == [
        ("señora", "¿sí?"),
        ("\ufffd",) * 2,
    ]


def test_a_call_without_an_answer_has_nulls():
    book = Received()
    book.settle(book.add(call()), None, "reset_before")
    item = book.page()["items"][0]
    assert (item["answer"], item["fault"]) == ({"status": None, "body": None}, "reset_before")


def test_pages_follow_each_other_without_gap_or_repetition():
    book = filled(5)
    first = book.page(limit=2)
    second = book.page(after=first["next"], limit=2)
    third = book.page(after=second["next"], limit=2)
    assert numbers(first) + numbers(second) + numbers(third) == [1, 2, 3, 4, 5]
    assert book.page(after=third["next"]) == {"items": [], "next": 5}


def test_match_looks_into_body_and_path():
    book = filled(3)
    book.add(call(path="/other"))
    assert numbers(book.page(match="body 2")) == [2]
    assert numbers(book.page(match="/other")) == [4]


def test_next_passes_over_what_did_not_match():
    assert filled(4).page(match="body 2")["next"] == 4


def test_the_oldest_calls_make_room():
    book = filled(5, kept_items=3)
    assert numbers(book.page()) == [3, 4, 5]
    assert (len(book), book.dropped, book.last) == (3, 2, 5)


def test_large_bodies_make_room_too():
    book = Received(kept_bytes=2500)
    for _ in range(4):
        book.add(call(b"x" * 1000))
    assert numbers(book.page()) == [3, 4]


def test_a_page_behind_dropped_calls_begins_with_the_first_kept_one():
    assert numbers(filled(5, kept_items=2).page(after=1)) == [4, 5]


def test_an_answer_that_comes_after_its_call_was_dropped_does_no_harm():
    book = Received(kept_items=1)
    late = book.add(call())
    book.add(call(b"newer"))
    book.settle(late, Answer(200, b"{}"))
    assert numbers(book.page()) == [2]


def test_numbers_go_on_after_a_reset():
    book = filled(3)
    book.clear()
    book.add(call())
    assert numbers(book.page()) == [4]
    assert numbers(book.page(after=3)) == [4]


def test_a_reader_ahead_of_us_gets_nothing_and_a_number_that_exists():
    assert filled(2).page(after=99) == {"items": [], "next": 2}
