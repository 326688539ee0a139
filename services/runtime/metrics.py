"""Every metric of every process, declared once. Labels never hold an account, a number or an id; `tenant` is capped."""

from functools import lru_cache
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)

MESSAGES: Final = Counter(
    "recado_messages_total", "Messages by outcome", ["direction", "provider", "outcome", "tenant"]
)
_TENANT_LABELS: Final = 200  # the first so many companies have a label of their own, the rest are `other`


@lru_cache(maxsize=4096)
def _message_child(direction: str, outcome: str, company: str) -> Any:
    return MESSAGES.labels(direction, "cloud", outcome, tenant_label(company))


def count_message(direction: str, outcome: str, company: str) -> None:
    """Count one announcement; a repeated one counts again, as the wire sees it."""
    _message_child(direction, outcome, company).inc()


_labelled: Final[set[str]] = set()


def tenant_label(company: str) -> str:
    """Cap the label, so that thousands of tenants do not kill Prometheus."""
    if company in _labelled or len(_labelled) < _TENANT_LABELS:
        _labelled.add(company)
        return company
    return "other"


WEBHOOK_ACK: Final = Histogram("recado_webhook_ack_seconds", "Receipt to our 200", buckets=_FAST)
WEBHOOKS: Final = Counter("recado_webhooks_total", "Webhook POSTs by answer", ["status"])
WEBHOOK_PROCESSING: Final = Histogram(
    "recado_webhook_processing_seconds", "Receipt to committed row", buckets=(*_FAST, 60, 300)
)
WHATSAPP_API: Final = Histogram(
    "recado_whatsapp_api_seconds", "One call to WhatsApp", ["provider", "operation"], buckets=_FAST
)
SEND_ERRORS: Final = Counter("recado_send_errors_total", "Sends refused or failed", ["class", "code", "tenant"])
CONSUMER_IDLE: Final = Gauge("recado_consumer_idle_seconds", "Since the consume loop last turned")
CONSUMER_LAG: Final = Gauge("recado_consumer_lag_records", "Records behind the end", ["room", "topic"])
RECORDS: Final = Counter("recado_records_total", "Records settled by a room", ["room", "topic"])
DEFERRED: Final = Counter("recado_deferrals_total", "Waits begun", ["reason"])
DEFERRED_ROWS: Final = Gauge("recado_deferred_rows", "Rows that wait", ["reason"])
RETURNED: Final = Counter("recado_returned_total", "Waits given back", ["topic"])
DEAD_LETTERS: Final = Counter("recado_dead_letters_total", "Records set aside", ["room", "reason"])
DELIVERY: Final = Histogram("recado_delivery_seconds", "One push to an endpoint", ["outcome"], buckets=(*_FAST, 60))
LEDGER_IMBALANCE: Final = Gauge("recado_ledger_imbalance", "Ids that one book has and another lacks", ["tenant"])
POOL_CONNECTIONS: Final = Gauge("recado_pool_connections", "Database connections", ["pool", "state"])
REPLY_WAITS: Final = Gauge("recado_reply_waits", "Requests that wait for WhatsApp's id")
SPOOL_BYTES: Final = Gauge("recado_spool_bytes", "Held on this copy's disk until Kafka takes it")
SPOOL_RECORDS: Final = Gauge("recado_spool_records", "Records held there")
SPOOL_OLDEST: Final = Gauge("recado_spool_oldest_seconds", "Since the oldest of them was taken")
SPOOL_TAKEN: Final = Counter("recado_spool_taken_total", "Records synced to the spool")
SPOOL_DRAINED: Final = Counter("recado_spool_drained_total", "Records handed over to Kafka from the spool")
SPOOL_REFUSED: Final = Counter("recado_spool_refused_total", "Records that Kafka and the spool did not take")
SPOOL_DAMAGED: Final = Counter("recado_spool_damaged_total", "Pieces of the spool set aside", ["kind"])
