"""Every limit as a named number, with unit, source and the date on which it was read."""

from datetime import timedelta
from typing import Final

# WhatsApp Cloud API, pages of 2026-09, read 2026-11-24
TEXT_BODY_CHARS: Final = 4096
TEMPLATE_NAME_CHARS: Final = 512
TEMPLATE_VARIABLE_CHARS: Final = 1024  # a body is at most this long, so no variable can be longer
TEMPLATE_VARIABLE_SPACES: Final = 4  # more in a row are refused
CALLBACK_DATA_CHARS: Final = 512  # biz_opaque_callback_data
WEBHOOK_BODY_BYTES: Final = 3 * 1024 * 1024  # "max payload 3 MB"
WEBHOOK_UPDATES: Final = 1000  # per POST, not guaranteed
SERVICE_WINDOW: Final = timedelta(hours=24)  # since the user's last message

# Our own surface (api.md §1)
API_BODY_BYTES: Final = 1024 * 1024
API_BODY_DEPTH: Final = 20
METADATA_BYTES: Final = 8 * 1024
METADATA_KEYS: Final = 50
IDEMPOTENCY_KEY_CHARS: Final = 255
IDEMPOTENCY_LIFE: Final = timedelta(days=7)
LIST_LIMIT_MAX: Final = 200
LIST_LIMIT_DEFAULT: Final = 50
ACCOUNT_NAME_CHARS: Final = 100
TOKEN_CHARS: Final = 1024  # Meta's tokens outgrow the plan's VARCHAR(255)
META_ID_DIGITS: Final = 36
NOT_AFTER_URGENT: Final = timedelta(minutes=10)
NOT_AFTER_DEFAULT: Final = timedelta(hours=24)

# Inside (architecture §2)
RECONCILE_WINDOW: Final = timedelta(seconds=90)  # an unknown outcome waits so long for a status
CLAIM_CHUNK: Final = 32  # messages claimed at once, never more than free connection slots
TENANT_GROUP: Final = 50  # tenants that share a transaction
ENDPOINT_SLOT_WAIT: Final = timedelta(seconds=2)
PRODUCE_WITHIN: Final = timedelta(seconds=2)  # the scheduler's transaction may be open this long across a produce
