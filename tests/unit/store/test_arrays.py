"""Rows become arrays, tables become statements that take them."""

from services.store.arrays import PLACE, Table, after_seconds, as_json, json, of, text, transpose

TABLE = Table(
    "{s}.things",
    (*text("id"), *of("integer", "n"), *json("detail"), after_seconds("due_at"), PLACE),
)


def test_every_column_arrives_as_one_binary_array():
    assert TABLE.source() == (
        "unnest(%b::text[], %b::integer[], %b::text[], %b::double precision[], %b::bigint[]) "
        "AS x(id, n, detail, due_at, place)"
    )


def test_an_insert_is_sorted_by_its_key_because_unsorted_batches_deadlock():
    statement = TABLE.insert(order="id", conflict="DO NOTHING", returning="id")
    assert statement.startswith("INSERT INTO {s}.things (id, n, detail, due_at) SELECT x.id, x.n, x.detail::jsonb, ")
    assert statement.endswith(" ORDER BY id ON CONFLICT DO NOTHING RETURNING id")


def test_the_place_in_the_batch_is_no_column():
    assert "place" not in TABLE.names()
    assert TABLE.insert(order="x.place").count("place") == 2


def test_an_update_sets_everything_but_its_key():
    statement = Table("{s}.things", (*text("id"), *of("integer", "n"))).update(
        key=("id",), extra=", updated_at = now()", condition="t.n < x.n"
    )
    assert statement == (
        "UPDATE {s}.things AS t SET n = x.n, updated_at = now() "
        "FROM unnest(%b::text[], %b::integer[]) AS x(id, n) WHERE t.id = x.id AND t.n < x.n"
    )


def test_rows_become_one_list_a_column():
    assert transpose([(1, "a"), (2, "b")], lambda r: r[0], lambda r: r[1]) == ([1, 2], ["a", "b"])


def test_no_rows_are_empty_columns():
    assert transpose([], lambda r: r[0], lambda r: r[1]) == ([], [])


def test_nothing_is_null_and_null_is_not_the_word():
    assert as_json(None) is None
    assert as_json({"a": "ñ", "b": None}) == '{"a":"ñ","b":null}'
