"""Bodies of POST and PUT /api/accounts: what they may say. Not here: what the directory refuses (a taken number)."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from services.domain.limits import ACCOUNT_NAME_CHARS, META_ID_DIGITS, TOKEN_CHARS
from services.ingress.fields import OwnId, Phone, StrictModel, Visible, wrong
from services.ingress.message_request import Language

MetaId = Annotated[str, Field(pattern=rf"^[0-9]{{1,{META_ID_DIGITS}}}$")]
AppId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$")]
Name = Annotated[str, Field(min_length=1, max_length=ACCOUNT_NAME_CHARS)]
Token = Annotated[Visible, Field(min_length=1, max_length=TOKEN_CHARS)]
AppSecret = Annotated[Visible, Field(min_length=8, max_length=256)]
VerifyToken = Annotated[Visible, Field(min_length=1, max_length=256)]

CLOUD_FIELDS: Final = ("waba_id", "phone_number_id", "api_key")
SECRET_FIELDS: Final = ("api_key", "webhook_secret", "verify_token")
MUTABLE: Final = frozenset({"name", "business_id", "settings", "status", *SECRET_FIELDS})


class AccountSettings(StrictModel):
    outcome_policy: Literal["at_most_once", "at_least_once"] | None = None
    default_language: Language | None = None
    read_receipts: bool | None = None
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    quiet_hours: dict[str, Any] | None = None

    def stored(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class NewAccount(StrictModel):
    """A number to register. `webhook_secret` is the Meta app's secret that signs inbound webhooks."""

    business_id: OwnId
    phone_number: Phone
    account_type: Literal["cloud_api"]
    waba_id: MetaId | None = None
    phone_number_id: MetaId | None = None
    api_key: Token | None = Field(None, description="Meta's access token; write-only")
    webhook_secret: AppSecret | None = Field(None, description="write-only; without it the secret of app_id serves")
    app_id: AppId | None = Field(None, description="the Meta app that posts to /webhook/{app_id}")
    verify_token: VerifyToken | None = Field(None, description="write-only")
    company_id: OwnId | None = Field(None, description="the credential's own company, if given")
    name: Name | None = None
    settings: AccountSettings | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> "NewAccount":
        for field in CLOUD_FIELDS:
            if getattr(self, field) is None:
                raise wrong("account_fields", f"A cloud_api account needs {field}.", f"/{field}")
        if self.verify_token is not None and self.webhook_secret is None:
            raise wrong("account_fields", "verify_token comes with webhook_secret.", "/verify_token")
        return self


class AccountChange(StrictModel):
    """A change: an absent field stays, null removes, and what cannot be changed may be repeated as it is."""

    name: Name | None = None
    business_id: OwnId | None = None
    api_key: Token | None = None
    webhook_secret: AppSecret | None = Field(None, description="the former one stays valid until the next change")
    verify_token: VerifyToken | None = None
    settings: AccountSettings | None = None
    status: Annotated[str, Field(max_length=36)] | None = Field(None, description="paused or active")
    id: Any = None
    company_id: Any = None
    phone_number: Any = None
    waba_id: Any = None
    account_type: Any = None
    created_at: Any = None
    updated_at: Any = None
    phone_number_id: Any = None
    app_id: Any = None
    quality_rating: Any = None
    messaging_limit: Any = None
    throughput_mps: Any = None
    transports: Any = None
    secrets: Any = None
    meta_door: Any = None
    check: Any = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> "AccountChange":
        for field in ("business_id", "api_key", "webhook_secret", "verify_token", "status"):
            if field in self.model_fields_set and getattr(self, field) is None:
                raise wrong("account_fields", f"{field} cannot be removed.", f"/{field}")
        return self

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}
