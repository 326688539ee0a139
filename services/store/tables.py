"""What the migrated schemas look like, for SQLAlchemy: directory, cell and tenant. A test compares them with the
migrations. Not here: statements; batch writes (plain psycopg, in the aggregates' own files) do not import this."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP
from sqlalchemy.types import UserDefinedType

from services.store.names import SCHEMA_PLACEHOLDER


class TransactionId(UserDefinedType[str]):
    """PostgreSQL's xid8: the transaction that wrote a row."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


directory: Final = sa.MetaData(schema="recado_directory")
cell: Final = sa.MetaData(schema="recado")
tenant: Final = sa.MetaData(schema=SCHEMA_PLACEHOLDER)

_TIME: Final = TIMESTAMP(timezone=True)
_NOW: Final = sa.text("now()")


def _text(name: str, *, null: bool = False, default: str | None = None, key: bool = False) -> sa.Column[Any]:
    return sa.Column(
        name, sa.Text, nullable=null, primary_key=key, server_default=None if default is None else sa.text(default)
    )


def _int(name: str, *, null: bool = False, default: str | None = None, key: bool = False) -> sa.Column[Any]:
    return sa.Column(
        name, sa.Integer, nullable=null, primary_key=key, autoincrement=False,
        server_default=None if default is None else sa.text(default),
    )  # fmt: skip


def _uuid(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid, nullable=False, primary_key=key)


def _json(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, JSONB, nullable=null, server_default=None if default is None else sa.text(default))


def _bool(name: str, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(
        name, sa.Boolean, nullable=False, server_default=None if default is None else sa.text(default)
    )  # fmt: skip


def _at(name: str) -> sa.Column[Any]:
    """A time that is always there: the moment of the insert unless told otherwise."""
    return sa.Column(name, _TIME, nullable=False, server_default=_NOW)


def _when(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, _TIME, nullable=null)


def _identity(name: str, type_: type[sa.types.TypeEngine[Any]], *, key: bool = True) -> sa.Column[Any]:
    return sa.Column(name, type_, sa.Identity(always=True), primary_key=key, nullable=False)


tenants: Final = sa.Table(
    "tenants", directory,
    _identity("no", sa.Integer), _text("company_id"), _text("cell"), _text("status", default="'active'"),
    sa.Column("data_key", BYTEA, nullable=False), _at("created_at"), _at("changed_at"),
    sa.UniqueConstraint("company_id"),
)  # fmt: skip

meta_apps: Final = sa.Table(
    "meta_apps", directory,
    _text("id", key=True), sa.Column("tenant_no", sa.Integer, sa.ForeignKey("recado_directory.tenants.no")),
    sa.Column("secrets", ARRAY(BYTEA), nullable=False), _text("verify_token"), _at("created_at"), _at("changed_at"),
)  # fmt: skip

accounts: Final = sa.Table(
    "accounts", directory,
    _text("id", key=True), _identity("no", sa.Integer, key=False),
    sa.Column("tenant_no", sa.Integer, sa.ForeignKey("recado_directory.tenants.no"), nullable=False),
    _text("business_id"), _text("phone_number"), _text("phone_number_id", null=True), _text("waba_id", null=True),
    sa.Column("app_id", sa.Text, sa.ForeignKey("recado_directory.meta_apps.id"), nullable=False),
    _text("account_type"), _text("name", null=True), _text("status"), _json("settings", default="'{}'"),
    sa.Column("api_key", BYTEA), _text("api_key_last4", null=True), _bool("webhook_secret_set", "false"),
    _int("version", default="1"), _at("registered_at"), _at("created_at"), _at("updated_at"), _at("changed_at"),
    _when("deleted_at"),
    sa.UniqueConstraint("no"),
    sa.Index("accounts_phone_number", "phone_number", unique=True, postgresql_where=sa.text("deleted_at IS NULL")),
    sa.Index("accounts_phone_number_id", "phone_number_id", unique=True,
             postgresql_where=sa.text("deleted_at IS NULL")),
    sa.Index("accounts_changed_at", "changed_at"), sa.Index("accounts_waba_id", "waba_id"),
)  # fmt: skip

endpoints: Final = sa.Table(
    "endpoints", directory,
    _text("id", key=True),
    sa.Column("tenant_no", sa.Integer, sa.ForeignKey("recado_directory.tenants.no"), nullable=False),
    _text("url"), sa.Column("secrets", ARRAY(BYTEA), nullable=False),
    sa.Column("timeout_seconds", sa.Double, nullable=False, server_default=sa.text("10")),
    _int("max_in_flight", default="50"),
    sa.Column("schedule_seconds", ARRAY(sa.Integer), nullable=False,
              server_default=sa.text("'{5,30,300,1800,7200,28800}'")),
    _text("status", default="'active'"), _at("created_at"), _at("changed_at"),
)  # fmt: skip

idempotency: Final = sa.Table(
    "idempotency", directory,
    _int("tenant_no", key=True), _text("route", key=True), _text("key", key=True), _text("body_sha256"),
    _int("status"), _json("answer"), _at("created_at"),
)  # fmt: skip

redrive_requests: Final = sa.Table(
    "redrive_requests", directory,
    _identity("id", sa.BigInteger), _int("tenant_no"), _text("account_id"), _text("phone_number_id", null=True),
    _at("created_at"),
)  # fmt: skip

audit_log: Final = sa.Table(
    "audit_log", directory,
    _identity("id", sa.BigInteger), _text("actor"), _text("action"), _text("subject"), _int("tenant_no", null=True),
    _json("detail", default="'{}'"), _at("at"),
    sa.Index("audit_log_subject", "subject", "id"),
)  # fmt: skip

spools: Final = sa.Table(
    "spools", directory, _text("copy", key=True), _when("reported_at", null=False), _when("oldest_at")
)  # fmt: skip

schema_versions: Final = sa.Table(
    "schema_versions", cell, _int("tenant_id", key=True), _text("version"), _at("at")
)  # fmt: skip

account_state: Final = sa.Table(
    "account_state", cell,
    _int("tenant_id", key=True), _text("account_id", key=True), _text("field", key=True), _json("value"),
    _when("at", null=False), _uuid("event_id"),
)  # fmt: skip

deferred: Final = sa.Table(
    "deferred", cell,
    _identity("id", sa.BigInteger), _when("due_at"), _int("tenant_id"), _text("reason"), _text("queue", null=True),
    _text("topic"), _text("key"), _uuid("base"), _int("n"), sa.Column("payload", BYTEA, nullable=False),
    _json("headers", default="'{}'"), _text("subject", null=True), _at("created_at"),
    sa.Index("deferred_due", "due_at", "id", postgresql_where=sa.text("due_at IS NOT NULL")),
    sa.Index("deferred_queue", "tenant_id", "queue", "id", postgresql_where=sa.text("queue IS NOT NULL")),
    sa.Index("deferred_unavailable", "tenant_id", "id", postgresql_where=sa.text("reason = 'tenant_unavailable'")),
)  # fmt: skip

delivery_queues: Final = sa.Table(
    "delivery_queues", cell,
    _int("tenant_id", key=True), _text("endpoint_id", key=True), _text("conversation", key=True),
    _uuid("head_event_id"), _at("opened_at"),
)  # fmt: skip

deliveries: Final = sa.Table(
    "deliveries", cell,
    _int("tenant_id", key=True), _text("endpoint_id", key=True), _uuid("event_id", key=True), _int("n", key=True),
    _text("outcome"), _int("http_status", null=True), _text("detail", null=True), _at("at"),
)  # fmt: skip

send_attempts: Final = sa.Table(
    "send_attempts", cell,
    _int("tenant_id", key=True), _text("message_id", key=True), _int("attempt", key=True), _at("claimed_at"),
    _when("lease_until", null=False), _text("outcome", null=True), _text("wamid", null=True), _text("code", null=True),
    _json("detail", null=True), _when("answered_at"),
)  # fmt: skip

webhook_events: Final = sa.Table(
    "webhook_events", cell,
    _int("tenant_id", key=True), _uuid("id", key=True), _text("account_id", null=True), _text("event_type"),
    _json("payload"), _bool("processed", "false"), _json("process_result", null=True),
    _int("raw_partition", null=True), sa.Column("raw_offset", sa.BigInteger), _at("created_at"),
    _when("processed_at"),
)  # fmt: skip

contacts: Final = sa.Table(
    "contacts", tenant,
    _text("id", key=True), _text("name", null=True), _text("username", null=True), _at("created_at"),
    _at("updated_at"),
)  # fmt: skip

contact_identities: Final = sa.Table(
    "contact_identities", tenant,
    _text("kind", key=True), _text("value", key=True), _text("contact_id", null=True), _at("first_seen_at"),
    sa.Index("contact_identities_contact", "contact_id"),
)  # fmt: skip

conversations: Final = sa.Table(
    "conversations", tenant,
    _text("id", key=True), _text("account_id"), _text("contact_id"), _text("contact_phone", null=True),
    _text("contact_name", null=True), _text("status", default="'open'"), _when("last_message_at"),
    _when("window_expires_at"), _int("unread_count", default="0"),
    sa.Column("last_sequence", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    _json("queues", default="'{}'"), _json("metadata", default="'{}'"), _at("created_at"), _at("updated_at"),
    sa.UniqueConstraint("account_id", "contact_id"),
)  # fmt: skip
sa.Index("conversations_recent", conversations.c.last_message_at.desc(), conversations.c.id)

messages: Final = sa.Table(
    "messages", tenant,
    _text("id", key=True), _text("conversation_id", null=True), _text("account_id"), _text("direction"),
    _text("message_type"), _text("content", default="''"), _json("detail", default="'{}'"), _text("status"),
    _text("wamid", null=True), _text("reply_to", null=True), _text("phone_number", null=True),
    _text("user_id", null=True), _text("template_id", null=True), _json("variables", null=True),
    _json("metadata", default="'{}'"), _text("lane", null=True), _int("wait_no", default="0"),
    _int("retries", default="0"), _int("attempt", default="0"), _when("lease_until"), _uuid("base"),
    _text("body_sha256", null=True), _json("error", null=True), _json("pricing", null=True), _when("not_before"),
    _when("not_after"), _when("message_at", null=False), _when("sent_at"), _when("delivered_at"), _when("read_at"),
    _when("played_at"), _when("failed_at"), _int("raw_partition", null=True),
    sa.Column("raw_offset", sa.BigInteger), _at("created_at"), _at("updated_at"),
    sa.Index("messages_conversation", "conversation_id", "message_at", "id"),
)  # fmt: skip

wamids: Final = sa.Table(
    "wamids", tenant,
    _text("account_id", key=True), _text("direction", key=True), _text("wamid", key=True),
    _text("message_id", null=True), _int("attempt", null=True), _at("created_at"),
)  # fmt: skip

message_statuses: Final = sa.Table(
    "message_statuses", tenant,
    _text("account_id", key=True), _text("wamid", key=True), _text("status", key=True),
    _text("participant", default="''", key=True), sa.Column("status_at", _TIME, primary_key=True, nullable=False),
    _text("message_id", null=True), _bool("late"), _json("errors", null=True), _json("pricing", null=True),
    _uuid("base"), _at("recorded_at"),
    sa.Index("message_statuses_message", "message_id"),
)  # fmt: skip

events: Final = sa.Table(
    "events", tenant,
    _identity("id", sa.BigInteger), sa.Column("event_id", sa.Uuid, nullable=False, unique=True), _uuid("base"),
    _text("event_type"), _text("topic"), _text("key"), _text("conversation_id", null=True),
    _text("message_id", null=True), _text("account_id", null=True),
    sa.Column("sequence", sa.BigInteger, nullable=False), _when("at", null=False),
    sa.Column("value", BYTEA, nullable=False),
    sa.Column("xid", TransactionId, nullable=False, server_default=sa.text("pg_current_xact_id()")),
    _at("created_at"),
    sa.Index("events_base", "base"), sa.Index("events_message", "message_id"),
)  # fmt: skip
