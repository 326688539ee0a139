"""The rules of the house as functions: a module in, findings out. Each is tried on a bad and a good snippet.

Not here: which modules a rule is for, and who is excepted (the test files say it).
"""

import ast
import re
from collections.abc import Collection, Iterator

from tests.architecture.source import Module

MODULE_LINES = 350
TEST_LINES = 600
FUNCTION_LINES = 50
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log", "logger", "_logger", "LOG"}
UNLOGGABLE = {
    "api_key", "authorization", "body", "caption", "contact", "contact_phone", "content", "from_", "from", "headers",
    "key_material", "message", "msg_text", "password", "payload", "phone", "phone_number", "qr", "qr_code", "raw",
    "recipient", "secret", "secrets", "sender", "text", "to", "token", "user_id", "value", "variables", "wa_id",
}  # fmt: skip
"""Fields that could hold text of a message, a person's number or a secret."""
METRIC_KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
METRIC_UNITS = ("_total", "_seconds", "_bytes", "_records", "_rows", "_connections", "_waits", "_imbalance")
UNBOUNDED_LABELS = {"account", "account_id", "message_id", "phone_number", "number", "id", "conversation", "endpoint"}
SQL = re.compile(r"^\s*(WITH\s.+\sAS\s|SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s.+\sSET\s|DELETE\s+FROM\s)",
                 re.IGNORECASE | re.DOTALL)  # fmt: skip
TOPIC = re.compile(r"^wa\.[a-z]+")
SCHEMA = re.compile(r"(^|[\s\"'.])t_($|\d|%|\{)")
METRIC = re.compile(r"^recado_[\w{}]+(_total|_seconds|_bytes|_records|_rows)$")


def too_long(module: Module, ceiling: int) -> list[str]:
    return [f"{module.path}: {module.lines} lines, {ceiling} is the ceiling"] if module.lines > ceiling else []


def long_functions(module: Module, ceiling: int = FUNCTION_LINES) -> list[str]:
    """Functions of more lines than the ceiling, decorators and docstring included."""
    return [
        f"{module.path}:{node.name}: {size} lines"
        for node in module.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > ceiling
    ]


def unsigned(module: Module) -> list[str]:
    """A module must begin with a sentence that says what lives there; a package's `__init__` is empty."""
    if module.path.endswith("__init__.py"):
        return [f"{module.path}: is not empty"] if module.text.strip() else []
    said = ast.get_docstring(module.tree) or ""
    first = said.split("\n\n", maxsplit=1)[0]
    starts = re.match(r"[A-Z`*'\"/]", first) is not None
    if starts and first.rstrip().endswith((".", ":", ")")) and len(first.split()) > 3:
        return []
    return [f"{module.path}: does not begin with a sentence ({first.splitlines()[0] if first else 'nothing'})"]


def vague_names(module: Module) -> list[str]:
    """Rule 1: a name says the thing, not that there is one."""
    names = [module.path.rsplit("/", 1)[-1].removesuffix(".py")]
    names += [node.name for node in module.walk() if isinstance(node, ast.ClassDef)]
    vague = re.compile(r"(manager|helper|utils?|common|misc)s?$", re.IGNORECASE)
    return [f"{module.path}: {name}" for name in names if vague.search(name)]


def _strings_like(module: Module, pattern: re.Pattern[str]) -> list[str]:
    return [f"{module.path}:{line}: {text!r:.80}" for line, text in module.strings() if pattern.search(text)]


def topic_names(module: Module) -> list[str]:
    return _strings_like(module, TOPIC)


def schema_names(module: Module) -> list[str]:
    """A tenant's schema or role put together by hand."""
    return _strings_like(module, SCHEMA)


def metric_names(module: Module) -> list[str]:
    """Metrics made, and names of metrics, outside of their page; `collections.Counter` is none."""
    makers = {f"prometheus_client.{kind}" for kind in METRIC_KINDS}
    for node in module.walk():
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client":
            makers |= {name.asname or name.name for name in node.names if name.name in METRIC_KINDS}
    made = [call for call in module.calls() if ast.unparse(call.func) in makers]
    found = [f"{module.path}:{call.lineno}: {ast.unparse(call.func)}" for call in made]
    return found + _strings_like(module, METRIC)


def sql_statements(module: Module) -> list[str]:
    return _strings_like(module, SQL) + _strings_like(module, re.compile(r"\{s\}\."))


def environment_reads(module: Module) -> list[str]:
    """`os.environ`, `os.getenv` and what `from os import` makes of them."""
    reads = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    found: list[ast.Attribute | ast.ImportFrom] = [
        node for node in module.walk() if isinstance(node, ast.Attribute) and ast.unparse(node) in reads
    ]
    imported = [
        node
        for node in module.walk()
        if isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {"environ", "getenv"} & {a.name for a in node.names}
    ]
    return [f"{module.path}:{node.lineno}" for node in (*found, *imported)]


def commits(module: Module) -> list[str]:
    """Calls that end a transaction, or open a connection of their own."""
    ends = {"commit", "rollback"}
    return [
        f"{module.path}:{call.lineno}: {ast.unparse(call.func)}()"
        for call in module.calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr in ends
    ]


def invented_codes(module: Module, known: Collection[str]) -> list[str]:
    """`ProblemError("…")` and rows of errors with a code that the catalogue lacks."""
    return [f"{module.path}:{line}: {code}" for line, code in _codes(module) if code not in known]


def _codes(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.walk():
        code: ast.expr | None = None
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ProblemError"):
            code = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "code"), None)
        elif isinstance(node, ast.Dict) and {"pointer", "code"} <= {_text(key) for key in node.keys}:
            code = next(value for key, value in zip(node.keys, node.values, strict=True) if _text(key) == "code")
        if code is not None and (text := _text(code)):
            yield code.lineno, text


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def log_calls(module: Module) -> Iterator[ast.Call]:
    for call in module.calls():
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in LOG_METHODS):
            continue
        holder = call.func.value
        name = holder.attr if isinstance(holder, ast.Attribute) else holder.id if isinstance(holder, ast.Name) else ""
        if name in LOGGERS or ast.unparse(holder).endswith("get_logger()"):
            yield call


def indiscreet_logs(module: Module) -> list[str]:
    """A log line is an event in the past tense with fields; it never carries text, numbers of people or secrets."""
    found = []
    for call in log_calls(module):
        place = f"{module.path}:{call.lineno}"
        event = _text(call.args[0]) if call.args else ""
        if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", event) or len(call.args) != 1:
            found.append(f"{place}: the event is not a constant in snake_case")
        found += [f"{place}: field {key.arg}" for key in call.keywords if key.arg is None or key.arg in UNLOGGABLE]
    return found


def broad_excepts(module: Module) -> list[str]:
    """Handlers that keep everything for themselves; one that only tidies up and raises again does not."""
    broad = {"Exception", "BaseException"}
    return [
        f"{module.path}:{node.lineno}"
        for node in module.walk()
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _names_in(node.type) & broad)
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]


def _names_in(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def missing_handle(module: Module) -> list[str]:
    """A stream room's page: `async def handle(batch, deps)` with a docstring."""
    for node in module.tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "handle":
            arguments = [argument.arg for argument in node.args.args]
            if arguments[:2] == ["batch", "deps"] and ast.get_docstring(node):
                return []
    return [f"{module.path}: no documented `async def handle(batch, deps)`"]


def local_links(text: str) -> list[str]:
    """What a page of Markdown points at within the repository, relative to the page."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.split("#", 1)[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
