"""Modules and functions keep their size, and every module has a sign at its door."""

import pytest

from tests.architecture import checks
from tests.architecture.source import ROOT, Module, modules_under, snippet

SERVICES = modules_under("services")
TESTS = modules_under("tests")
EXCEPTED_FUNCTIONS = {
    "services/streams/consumer.py:__init__",  # a line a part; the parts are made where they are joined
}


def ids(module: Module) -> str:
    return module.path


def body(lines: int) -> str:
    return "".join(f"    x = {number}\n" for number in range(lines))


@pytest.mark.parametrize("module", SERVICES, ids=ids)
def test_a_module_fits_in_two_screens_of_thought(module):
    assert checks.too_long(module, checks.MODULE_LINES) == []


@pytest.mark.parametrize("module", TESTS, ids=ids)
def test_a_test_file_stays_readable(module):
    assert checks.too_long(module, checks.TEST_LINES) == []


def test_length_is_measured():
    assert checks.too_long(snippet("x = 1\n" * 4), 3) == ["services/sender/snippet.py: 4 lines, 3 is the ceiling"]
    assert checks.too_long(snippet("x = 1\n" * 3), 3) == []


@pytest.mark.parametrize("module", [*SERVICES, *TESTS], ids=ids)
def test_a_function_is_no_longer_than_its_ceiling(module):
    long = {finding.rsplit(":", 1)[0] for finding in checks.long_functions(module)}
    assert long <= EXCEPTED_FUNCTIONS


@pytest.mark.parametrize("kind", ["def", "async def", "@property\ndef"])
def test_a_long_function_is_found_and_a_short_one_is_not(kind):
    assert checks.long_functions(snippet(f"{kind} f(a):\n{body(50)}")) == ["services/sender/snippet.py:f: 51 lines"]
    assert checks.long_functions(snippet(f"{kind} f(a):\n{body(49)}")) == []


def test_a_long_method_and_a_long_inner_function_are_found():
    inner = "class C:\n    def m(self):\n" + "        x = 1\n" * 60
    assert checks.long_functions(snippet(inner)) == ["services/sender/snippet.py:m: 61 lines"]


@pytest.mark.parametrize("module", SERVICES, ids=ids)
def test_a_module_begins_with_what_lives_there(module):
    assert checks.unsigned(module) == []


@pytest.mark.parametrize(
    "text",
    ["x = 1", '"""utils"""', '"""Things."""', '"""some helpers for the sender room."""',
     '"""What the sender does with commands"""'],
    ids=["nothing", "one word", "too short", "no capital", "no end"],
)  # fmt: skip
def test_a_module_without_a_sentence_is_found(text):
    assert len(checks.unsigned(snippet(text))) == 1


@pytest.mark.parametrize(
    "text",
    ['"""What is done with a command, and why."""', '"""`/metrics` of a room, from a thread of its own."""',
     '"""Topics: what the files say, as typed values, and\nthe one place of their names.\n\nNot here: more.\n"""'],
    ids=["one line", "begins with a name", "goes on"],
)  # fmt: skip
def test_a_module_with_a_sentence_is_not(text):
    assert checks.unsigned(snippet(text)) == []


def test_a_package_says_nothing():
    assert checks.unsigned(snippet("", "services/sender/__init__.py")) == []
    assert len(checks.unsigned(snippet("import x", "services/sender/__init__.py"))) == 1


@pytest.mark.parametrize("module", SERVICES, ids=ids)
def test_names_say_the_thing(module):
    assert checks.vague_names(module) == []


def test_a_vague_name_is_found():
    assert checks.vague_names(snippet("class SessionManager: ...")) == ["services/sender/snippet.py: SessionManager"]
    assert checks.vague_names(snippet("", "services/sender/utils.py")) == ["services/sender/utils.py: utils"]
    assert checks.vague_names(snippet("class Commonwealth: ...", "services/sender/claim.py")) == []


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*.md")]),
                         ids=lambda page: str(page.relative_to(ROOT)))  # fmt: skip
def test_a_link_between_pages_leads_somewhere(page):
    links = checks.local_links(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_a_link_to_elsewhere_is_not_followed():
    text = "[a](docs/a.md) [b](docs/b.md#part) [c](https://example.org/x) [d](#part) [e](docs/) (f.md)"
    assert checks.local_links(text) == ["docs/a.md", "docs/b.md", "docs/"]
