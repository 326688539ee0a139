"""Rooms and cupboards: a room's doors, what the store must not do, what a log must not say, who may import whom."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture import checks
from tests.architecture.source import ROOT, modules_under, read, snippet

SERVICES = modules_under("services")
STREAM_ROOMS = ["normaliser", "sender", "notifier"]
CUPBOARDS = ["domain", "runtime", "providers", "store", "streams"]
LOOPS = {
    "services/store/tenancy.py": "tells data and bugs from everything else, group by group",
    "services/streams/settle.py": "the consume loop: every failure of a room has its answer there",
}
"""Where everything may be caught, and why; `__main__.py` may, too."""
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
SINGLE_TRANSACTIONS = {"services/store/pools.py"}
"""Resets a connection between two uses."""

# doors


@pytest.mark.parametrize("room", [*STREAM_ROOMS, "scheduler", "ingress"])
def test_a_room_has_its_doors(room):
    files = {path.name for path in (ROOT / "services" / room).glob("*.py")}
    assert {"__init__.py", "__main__.py", "wiring.py"} <= files


@pytest.mark.parametrize("room", STREAM_ROOMS)
def test_a_stream_room_s_whole_way_stands_on_one_page(room):
    assert checks.missing_handle(read(ROOT / "services" / room / "handle.py")) == []


@pytest.mark.parametrize(
    "text",
    ["def handle(batch, deps): ...", "async def handle(batch, deps): ...", "async def handle(record): ...", ""],
    ids=["not a coroutine", "without a word", "of another form", "none"],
)
def test_a_page_without_its_door_is_found(text):
    assert len(checks.missing_handle(snippet(text))) == 1


def test_a_page_with_its_door_is_not():
    assert checks.missing_handle(snippet('async def handle(batch, deps):\n    """Carry it."""')) == []


# the store


def test_the_store_never_ends_a_transaction_that_it_was_given():
    store = [module for module in SERVICES if module.path.startswith("services/store/")]
    findings = [finding for module in store for finding in checks.commits(module)]
    assert [finding for finding in findings if finding.split(":")[0] not in SINGLE_TRANSACTIONS] == []


@pytest.mark.parametrize("text", ["async def f(c):\n    await c.commit()", "session.rollback()"])
def test_a_commit_is_found(text):
    assert len(checks.commits(snippet(text))) == 1


@pytest.mark.parametrize("text", ["connection.execute(query)", "commit = 1", "offsets.commit_later()"])
def test_what_commits_nothing_is_not(text):
    assert checks.commits(snippet(text)) == []


# logs and errors


@pytest.mark.parametrize("module", SERVICES, ids=lambda module: module.path)
def test_a_log_says_what_happened_and_nothing_private(module):
    assert checks.indiscreet_logs(module) == []


@pytest.mark.parametrize(
    "text",
    ['log.info("message_sent", to=phone)', 'self._log.info("x_failed", text=body)', 'logger.error("x_failed", token=t)',
     'log.info("Message was sent")', 'log.info(f"message_{x}")', 'log.info("message_sent", phone)',
     'log.info("message_sent", **fields)', 'logs.get_logger().info("x_failed", api_key=k)'],
)  # fmt: skip
def test_an_indiscreet_log_is_found(text):
    assert checks.indiscreet_logs(snippet(text))


@pytest.mark.parametrize(
    "text",
    ['log.info("message_sent", tenant=1, message_id=m)', 'self._log.warning("directory_not_refreshed", err=str(e))',
     'problems.info("To whom it may concern", to=1)', "math.log(x)"],
)  # fmt: skip
def test_a_discreet_log_is_not(text):
    assert checks.indiscreet_logs(snippet(text)) == []


def test_everything_is_caught_only_in_loops():
    findings = [finding for module in SERVICES for finding in checks.broad_excepts(module)]
    strangers = [f for f in findings if f.split(":")[0] not in LOOPS and not f.split(":")[0].endswith("__main__.py")]
    assert strangers == []


@pytest.mark.parametrize(
    "clause", ["except Exception:", "except BaseException as e:", "except:", "except (A, Exception):"]
)
def test_a_broad_except_is_found(clause):
    assert len(checks.broad_excepts(snippet(f"try:\n    x\n{clause}\n    pass"))) == 1


def test_who_tidies_up_and_raises_again_catches_nothing():
    assert checks.broad_excepts(snippet("try:\n    x\nexcept BaseException:\n    close()\n    raise")) == []
    assert len(checks.broad_excepts(snippet("try:\n    x\nexcept Exception as e:\n    raise A from e"))) == 1


@pytest.mark.parametrize("clause", ["except ValueError:", "except (A, B):", "except exceptions.HTTPException:"])
def test_a_narrow_except_is_not(clause):
    assert checks.broad_excepts(snippet(f"try:\n    x\n{clause}\n    pass")) == []


# who may import whom


def contract(name: str) -> dict[str, object]:
    (found,) = [row for row in CONFIG["contracts"] if row["name"].startswith(name)]
    return dict(found)


def test_every_room_and_cupboard_has_its_place_and_a_new_one_must_declare_it():
    layers = contract("Rooms above")
    placed = {name.strip() for layer in CONFIG["contracts"][0]["layers"] for name in layer.split("|")}
    there = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}
    assert layers["exhaustive"] is True
    assert placed == there


def test_every_stream_room_and_what_it_stands_on_stays_lean():
    lean = contract("Stream rooms")["source_modules"]
    assert isinstance(lean, list)
    assert set(lean) >= {f"services.{room}" for room in (*STREAM_ROOMS, "scheduler", "streams", "runtime")}


@pytest.mark.parametrize("room", ["normaliser", "scheduler"])
def test_a_room_that_opens_no_secrets_does_not_load_what_opens_them(room):
    look = f"import sys, services.{room}.wiring; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0


def test_every_pure_file_of_a_provider_is_held_to_it():
    pure = contract("Translation")["source_modules"]
    files = {path.stem for path in (ROOT / "services" / "providers" / "cloud").glob("*.py")} - {"__init__", "client"}
    assert {f"services.providers.cloud.{name}" for name in files} == set(pure)  # type: ignore[call-overload]


VIOLATIONS = {
    "the domain reads a clock": ("domain/retry.py", "import time"),
    "a room imports another": ("sender/claim.py", "import services.notifier.handle"),
    "a cupboard imports its neighbour": ("streams/consumer.py", "import services.store.pools"),
    "the runtime imports a room": ("runtime/health.py", "import services.sender.handle"),
    "translation speaks HTTP": ("providers/cloud/webhook.py", "import httpx"),
    "a stream room loads FastAPI": ("normaliser/record.py", "import fastapi"),
    "a room picks its provider itself": ("sender/handle.py", "import services.providers.registry"),
    "a product part imports the local stack": ("ledger/read.py", "import services.devstack.stack"),
    "a room that nobody declared": ("gossip/__init__.py", ""),
}


def a_house(folder: Path) -> None:
    """The tree as it is, with empty modules."""
    for module in SERVICES:
        path = folder / module.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([lint, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_an_empty_house_breaks_no_contract(tmp_path):
    a_house(tmp_path)
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", VIOLATIONS)
def test_an_import_that_is_not_allowed_is_found(tmp_path, name):
    place, line = VIOLATIONS[name]
    a_house(tmp_path)
    path = tmp_path / "services" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line, encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "broken" in done.stdout.lower()
