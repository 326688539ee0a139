"""Every setting of every process: declared once with type, unit, default and one sentence; read once at start.

`python -m services.runtime.settings` prints the table. Nothing else reads the environment.
"""

import difflib
import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec

PREFIX: Final = "RECADO_"
Doc = msgspec.Meta
Profile = Literal["local", "production"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Names of the plan (§8) that are accepted beside ours; a conflict between the two is an error.
ALIASES: Final = {"MEMCACHED_SERVERS": "memcached_servers", "LOG_LEVEL": "log_level"}


class SettingsError(Exception):
    """The environment does not make sense; the message names the variable and what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings; durations end in `_seconds`, sizes in `_bytes`."""

    port_base: Annotated[int, Doc(description="first of the local ports; every port is this plus its offset")] = 8080
    state_dir: Annotated[str, Doc(description="folder for data, logs and pid files of the local stack")] = ".local"
    kafka_bootstrap_servers: Annotated[str, Doc(description="use these brokers instead of starting one")] = ""
    kafka_home: Annotated[str, Doc(description="an unpacked Kafka distribution instead of Maven's jars")] = ""
    topic_prefix: Annotated[str, Doc(description="put before every topic and group name; keeps runs apart")] = ""
    profile: Annotated[Profile, Doc(description="partition counts, and what the start-up probe demands")] = "local"
    database_url: Annotated[
        str, Doc(description="PostgreSQL of directory and first cell; for rooms the login, for set-up an owner",
                 extra={"secret": True}),
    ] = ""  # fmt: skip
    memcached_servers: Annotated[str, Doc(description="host:port,… to use instead of starting one; empty: none")] = ""
    graph_url: Annotated[str, Doc(description="where the Cloud API is; default: the simulator")] = ""
    graph_version: Annotated[str, Doc(description="version of the Graph API in every call")] = "v25.0"
    orchestrator_url: Annotated[str, Doc(description="endpoint of tenants that have none; default: the simulator")] = ""
    orchestrator_secret: Annotated[
        str, Doc(description="whsec_… of that endpoint", extra={"secret": True}),
    ] = ""  # fmt: skip
    policy_file: Annotated[str, Doc(description="tokens (hashed) and roles of the local IAM")] = ".local/policy.json"
    key_file: Annotated[str, Doc(description="32 bytes, hex: wraps tenants' data keys and signs ids")] = ".local/kek"
    log_format: Annotated[LogFormat, Doc(description="console or json")] = "console"
    log_level: Annotated[LogLevel, Doc(description="debug, info, warning or error")] = "info"
    metrics_port: Annotated[int, Doc(description="port of /metrics and /health of this copy; 0: none")] = 0
    http_port: Annotated[int, Doc(description="ingress: port of the API; 0: port base")] = 0
    crash_at: Annotated[str, Doc(description="room:point:n kills the process at its n-th pass of a crash point")] = ""
    reply_wait_seconds: Annotated[float, Doc(description="how long POST /api/messages waits for WhatsApp's id")] = 5.0
    reply_waits_cap: Annotated[int, Doc(description="waiting requests per ingress copy; beyond it 202 at once")] = 2000
    produce_deadline_seconds: Annotated[float, Doc(description="ingress: a produce not acknowledged by then")] = 2.5
    spool_dir: Annotated[
        str, Doc(description="ingress: its spool, one folder a copy, on a volume that outlives it; default: "
                 "<state dir>/spool/ingress"),
    ] = ""  # fmt: skip
    spool_max_bytes: Annotated[int, Doc(description="bytes the spool may hold; beyond it 503")] = 1024 * 1024 * 1024
    spool_max_age_seconds: Annotated[
        float, Doc(description="while its oldest record waits longer, the spool takes no more: 503"),
    ] = 86_400.0  # fmt: skip
    spool_stop_seconds: Annotated[float, Doc(description="how long a stopping ingress goes on draining")] = 5.0
    send_lease_seconds: Annotated[float, Doc(description="life of a claim by the database's clock")] = 45.0
    send_reconcile_seconds: Annotated[
        float, Doc(description="an unknown outcome waits so long for a status before the policy decides")
    ] = 90.0
    send_timeout_seconds: Annotated[float, Doc(description="total time of one call to WhatsApp")] = 15.0
    send_slots: Annotated[int, Doc(description="connections of one sender copy to WhatsApp")] = 128
    send_retry_base_seconds: Annotated[float, Doc(description="first wait after a known-not-sent; doubles")] = 5.0
    send_retry_limit: Annotated[int, Doc(description="waits after which a message fails")] = 5
    notify_timeout_seconds: Annotated[float, Doc(description="total time of one push without an endpoint's own")] = 10.0
    notify_schedule_seconds: Annotated[
        str, Doc(description="waits between pushes of one event, comma separated"),
    ] = "5,30,300,1800,7200,28800"  # fmt: skip
    consumer_session_seconds: Annotated[float, Doc(description="Kafka session timeout of stream rooms")] = 10.0
    max_poll_records: Annotated[int, Doc(description="records of one poll")] = 500
    stop_after_tenants: Annotated[int, Doc(description="tenants with dead letters in a minute that stop a room")] = 20


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment; raise SettingsError with the variable's name and the nearest known one."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name, text in environ.items():
        field = name[len(PREFIX) :].lower() if name.startswith(PREFIX) else ALIASES.get(name)
        if field is None:
            continue
        if field not in Settings.__struct_fields__:
            raise SettingsError(_unknown(name))
        if values.setdefault(field, text) != text:
            raise SettingsError(f"{name} and {PREFIX}{field.upper()} disagree: set only one of them")
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rsplit("$.", 1)[-1].rstrip("`")
        raise SettingsError(f"{PREFIX}{field.upper()} cannot be read: {error}") from error


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process these settings; only what differs from the defaults."""
    default = Settings()
    pairs = ((field, getattr(settings, field)) for field in Settings.__struct_fields__)
    return {PREFIX + field.upper(): str(value) for field, value in pairs if value != getattr(default, field)}


def _unknown(name: str) -> str:
    known = [PREFIX + field.upper() for field in Settings.__struct_fields__]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"{name} is not a setting; the nearest one is {near[0]} (python -m services.runtime.settings lists all)"


def table(settings: Settings) -> str:
    """One row a setting: name, value now (secrets masked), sentence."""
    rows = []
    hints = get_type_hints(Settings, include_extras=True)
    for field in Settings.__struct_fields__:
        meta = get_args(hints[field])[1]
        value = getattr(settings, field)
        shown = "***" if value and (meta.extra or {}).get("secret") else json.dumps(value)
        rows.append(f"{PREFIX + field.upper():36} {shown:28} {meta.description}")
    return "\n".join(rows)


if __name__ == "__main__":
    try:
        print(table(load()))
    except SettingsError as problem:
        sys.exit(str(problem))
