"""Every schema is one, has examples that fit, and refuses what does not."""

import copy
import uuid

import jsonschema
import pytest

from services.domain.events import SCHEMA_VERSION
from tests.unit.schemas.vocabulary import (
    EXAMPLES,
    announced_types,
    examples_of,
    read,
    schema_files,
    schema_of,
    type_of,
    validator_of,
)

TYPES = [type_of(path) for path in schema_files()]
NINE = {"account_id", "company_id", "business_id", "conversation_id", "message_id", "from", "to", "content", "type"}


def example_of(event_type):
    return read(examples_of(event_type)[0])


def is_valid(event_type, event):
    return validator_of(event_type).is_valid(event)


@pytest.mark.parametrize("event_type", TYPES)
def test_a_schema_is_valid_2020_12_and_named_after_its_file(event_type):
    schema = schema_of(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"recado:events/{event_type}.v1"
    assert schema["properties"]["event_type"] == {"const": event_type}
    assert schema["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


@pytest.mark.parametrize("event_type", TYPES)
def test_a_schema_says_what_happened_and_what_names_the_event(event_type):
    schema = schema_of(event_type)
    assert schema["title"].endswith((".", "…"))
    assert schema["x-key"]
    assert set(schema["x-key"]) <= set(schema["properties"]["data"]["properties"]) or schema["x-key-note"]


@pytest.mark.parametrize("event_type", TYPES)
def test_the_plan_s_nine_keys_are_required(event_type):
    assert set(schema_of(event_type)["properties"]["data"]["required"]) >= NINE


@pytest.mark.parametrize("event_type", TYPES)
def test_there_is_an_example_and_every_example_fits(event_type):
    assert examples_of(event_type)
    for path in examples_of(event_type):
        validator_of(event_type).validate(read(path))


def test_every_folder_of_examples_belongs_to_a_schema():
    assert {folder.name for folder in EXAMPLES.iterdir()} == set(TYPES)


@pytest.mark.parametrize("event_type", TYPES)
def test_an_event_that_lacks_a_required_field_is_refused(event_type):
    schema, example = schema_of(event_type), example_of(event_type)
    for name in schema["required"]:
        assert not is_valid(event_type, {key: value for key, value in example.items() if key != name}), name
    for name in schema["properties"]["data"]["required"]:
        data = {key: value for key, value in example["data"].items() if key != name}
        assert not is_valid(event_type, example | {"data": data}), name


@pytest.mark.parametrize("event_type", TYPES)
@pytest.mark.parametrize(
    "broken",
    [{"event_type": "invented"}, {"event_id": "no uuid"}, {"timestamp": "2026-04-10 15:30"}, {"sequence": -1},
     {"sequence": "42"}, {"schema_version": 2}, {"data": []}],
    ids=["type", "id", "time", "negative sequence", "sequence as text", "version", "data"],
)  # fmt: skip
def test_a_broken_event_is_refused(event_type, broken):
    assert not is_valid(event_type, example_of(event_type) | broken)


@pytest.mark.parametrize("event_type", TYPES)
@pytest.mark.parametrize("name", ["from", "to"])
def test_a_number_without_its_plus_is_refused(event_type, name):
    example = copy.deepcopy(example_of(event_type))
    example["data"][name] = "593987654321"
    assert not is_valid(event_type, example)


@pytest.mark.parametrize("event_type", TYPES)
def test_an_example_bears_a_name_of_our_namespace(event_type):
    assert uuid.UUID(example_of(event_type)["event_id"]).version == 5


def test_every_event_that_the_code_can_announce_has_a_schema_and_every_schema_an_event():
    assert announced_types() == set(TYPES)
