"""One place per fact: topics, metrics, settings, schema names, statements, error codes."""

from collections.abc import Callable

import pytest
import yaml

from services.domain import limits
from services.domain.errors import PROBLEMS
from services.domain.events import ACCOUNT_TOPIC, MESSAGE_TOPIC
from services.runtime import metrics
from services.streams.topics import TopicName
from tests.architecture import checks
from tests.architecture.source import ROOT, Module, modules_under, snippet

SERVICES = modules_under("services")
PASSES_ON = "services/devstack/processes.py"
"""Hands a child process everything that is no setting."""
STATEMENTS = ("services/store/", "services/devstack/", "services/ledger/")
"""The store; set-up; and the ledger, which would share the store's mistakes if it shared its statements."""
NOT_OURS_TO_KEEP = {"WEBHOOK_UPDATES"}
"""Meta says so and does not promise it: nothing may depend on it."""
Check = Callable[[Module], list[str]]


def everywhere_but(*homes: str) -> list[Module]:
    """Every module but those at home with the fact; a home that ends in / is a folder."""
    return [module for module in SERVICES if not module.path.startswith(homes)]


def found(check: Check, *homes: str) -> list[str]:
    return [finding for module in everywhere_but(*homes) for finding in check(module)]


# topics


def test_a_topic_s_name_is_typed_in_one_place():
    assert found(checks.topic_names, "services/streams/topics.py", "services/domain/events.py") == []


@pytest.mark.parametrize("text", ['TOPIC = "wa.send.normal"', 'topic = f"wa.dead.{room}"', 'b = b"wa.reply"'])
def test_a_topic_s_name_elsewhere_is_found(text):
    assert len(checks.topic_names(snippet(text))) == 1


@pytest.mark.parametrize(
    "text", ['"""Reads wa.send.normal."""', "topic = TopicName.REPLY", 'x = "wa_id"', "# wa.send.normal"]
)
def test_what_only_speaks_of_a_topic_is_not(text):
    assert checks.topic_names(snippet(text)) == []


def test_the_topics_are_those_of_the_files():
    files = {yaml.safe_load(path.read_text())["name"] for path in (ROOT / "schemas" / "topics").glob("*.yaml")}
    assert files == set(TopicName)
    assert {MESSAGE_TOPIC, ACCOUNT_TOPIC} <= files


# metrics


def test_a_metric_is_declared_in_one_place():
    assert found(checks.metric_names, "services/runtime/metrics.py") == []


@pytest.mark.parametrize(
    "text",
    ['from prometheus_client import Counter\nX = Counter("x", "Things")', 'prometheus_client.Gauge("x", "y")',
     'n = "recado_spool_bytes"', 'n = f"recado_{x}_total"'],
)  # fmt: skip
def test_a_metric_elsewhere_is_found(text):
    assert checks.metric_names(snippet(text))


@pytest.mark.parametrize("text", ['ROLE = "recado_scheduler"', "metrics.RECORDS.labels(room).inc()",
                                  "from collections import Counter\nx = Counter(rows)"])  # fmt: skip
def test_what_is_no_metric_is_not(text):
    assert checks.metric_names(snippet(text)) == []


def declared() -> dict[str, object]:
    return {name: value for name, value in vars(metrics).items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("name", declared())
def test_a_metric_s_name_says_its_unit_and_its_labels_are_bounded(name):
    metric = vars(metrics)[name]
    full = metric._name + ("_total" if metric._type == "counter" else "")
    assert full.startswith("recado_")
    assert full.endswith(checks.METRIC_UNITS)
    assert set(metric._labelnames).isdisjoint(checks.UNBOUNDED_LABELS)


# settings


def test_the_environment_is_read_in_one_place():
    homes = ("services/runtime/settings.py", PASSES_ON)
    assert found(checks.environment_reads, *homes) == []


@pytest.mark.parametrize(
    "text",
    ['import os\nos.environ["X"]', "import os\nos.getenv('X')", "from os import environ", "from os import getenv"],
)
def test_a_read_of_the_environment_is_found(text):
    assert len(checks.environment_reads(snippet(text))) == 1


@pytest.mark.parametrize("text", ["import os\nos.getpid()", "from os import path", "environ = {}\nenviron['X']"])
def test_what_reads_no_environment_is_not(text):
    assert checks.environment_reads(snippet(text)) == []


# schema names and statements


def test_a_tenant_s_schema_is_named_in_one_place():
    assert found(checks.schema_names, "services/store/names.py") == []


@pytest.mark.parametrize(
    "text", ['s = f"t_{no:05d}"', 's = "t_%05d" % no', 's = "t_00001"', 's = f"SET ROLE t_{no}"', "s = 't_' + str(no)"]
)
def test_a_schema_s_name_put_together_is_found(text):
    assert len(checks.schema_names(snippet(text))) == 1


@pytest.mark.parametrize("text", ['x = "at_once"', "x = schema_of(no)", 'x = "t_shirt"', 'x = f"last_{n}"'])
def test_what_is_no_schema_s_name_is_not(text):
    assert checks.schema_names(snippet(text)) == []


def test_every_statement_stands_in_the_store():
    assert found(checks.sql_statements, *STATEMENTS) == []


@pytest.mark.parametrize(
    "text",
    ['q = "SELECT id FROM recado.deferred"', 'q = "insert into x values (1)"', 'q = f"UPDATE {t} SET x = 1"',
     'q = b"DELETE FROM x"', 'q = "{s}.messages"', 'q = """\\nWITH x AS (SELECT 1) SELECT * FROM x"""'],
)  # fmt: skip
def test_a_statement_elsewhere_is_found(text):
    assert checks.sql_statements(snippet(text))


@pytest.mark.parametrize(
    "text", ['"""Select what is due from the queue."""', 'x = "Selected from the list"', 'log.info("rows_selected")']
)
def test_what_only_sounds_like_a_statement_is_not(text):
    assert checks.sql_statements(snippet(text)) == []


# errors and limits


def test_no_code_is_invented_outside_of_the_catalogue():
    assert found(lambda module: checks.invented_codes(module, PROBLEMS)) == []


@pytest.mark.parametrize(
    "text",
    ['raise ProblemError("invented", "x")', 'raise errors.ProblemError(code="invented", detail="x")',
     'rows = [{"pointer": "/a", "code": "invented", "detail": "x"}]'],
)  # fmt: skip
def test_an_invented_code_is_found(text):
    assert checks.invented_codes(snippet(text), PROBLEMS) == ["services/sender/snippet.py:1: invented"]


@pytest.mark.parametrize(
    "text",
    ['raise ProblemError("not_found", "x")', "raise ProblemError(code, detail)", 'x = {"code": 131047}',
     'rows = [{"pointer": "/a", "code": "invalid", "detail": "x"}]'],
)  # fmt: skip
def test_a_known_code_is_not(text):
    assert checks.invented_codes(snippet(text), PROBLEMS) == []


NAMED_LIMITS = [name for name in vars(limits) if name.isupper() and name not in NOT_OURS_TO_KEEP]
ALL_TEXT = "\n".join(module.text for module in SERVICES if module.path != "services/domain/limits.py")


@pytest.mark.parametrize("name", NAMED_LIMITS)
def test_a_limit_that_is_named_is_kept_by_somebody(name):
    assert name in ALL_TEXT
