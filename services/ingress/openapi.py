"""The API's description: what FastAPI knows of its routes, and what it does not (webhook, problems, credential).

`python -m services.ingress.openapi > schemas/openapi.json` writes the committed copy; a test compares the two.
"""

import json
import sys
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.ingress.documents import ProblemDocument
from services.ingress.guard import PERMISSION
from services.ingress.problems import MEDIA_TYPE

_PROBLEM: Final = {"$ref": "#/components/schemas/ProblemDocument"}
_INTRODUCTION: Final = "WhatsApp for many companies: commands and webhooks in, conversations and events out."
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 255},
    "description": "Visible ASCII; honoured for 7 days per company and route.",
}  # fmt: skip
_PREFER: Final = {
    "name": "Prefer", "in": "header", "required": False, "schema": {"type": "string", "examples": ["wait=3"]},
    "description": "wait=N: answer 202 after N seconds at the latest (RFC 7240).",
}  # fmt: skip
_IF_MATCH: Final = {
    "name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "The ETag of the account as it was read.",
}  # fmt: skip
_HEADERS: Final = {
    ("/api/messages", "post"): [_IDEMPOTENCY, _PREFER],
    ("/api/accounts", "post"): [_IDEMPOTENCY],
    ("/api/accounts/{account_id}", "put"): [_IF_MATCH],
}


def describe(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=api.title, version=api.version, description=_INTRODUCTION, routes=api.routes)
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas["ProblemDocument"] = _without_definitions(ProblemDocument.model_json_schema(ref_template=_REF), schemas)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation.setdefault("parameters", []).extend(_HEADERS.get((path, method), []))
            if PERMISSION in operation:
                operation["security"] = [{"bearer": []}]
    document["paths"] |= _webhook_paths()
    return document


_REF: Final = "#/components/schemas/{model}"


def _without_definitions(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schemas.update(schema.pop("$defs", {}))
    return schema


def _webhook_paths() -> dict[str, Any]:
    app = {"name": "app", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/webhook": {"get": _verification([]), "post": _update([])},
        "/webhook/{app}": {"get": _verification([app]), "post": _update([app])},
    }


def _verification(more: list[Any]) -> dict[str, Any]:
    query = [{"name": f"hub.{name}", "in": "query", "required": True, "schema": {"type": "string"}}
             for name in ("mode", "verify_token", "challenge")]  # fmt: skip
    return {
        "tags": ["webhook"], "summary": "Meta's verification", "parameters": more + query,
        "responses": {
            "200": {"description": "the challenge", "content": {"text/plain": {"schema": {"type": "string"}}}},
            "403": _problem("verification_failed"),
        },
    }  # fmt: skip


def _update(more: list[Any]) -> dict[str, Any]:
    signature = {"name": "X-Hub-Signature-256", "in": "header", "required": True,
                 "schema": {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"}}  # fmt: skip
    received = {"type": "object", "properties": {"status": {"const": "received"}}, "required": ["status"]}
    return {
        "tags": ["webhook"], "summary": "Meta's updates, signed over the raw bytes", "parameters": [*more, signature],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "durable", "content": {"application/json": {"schema": received}}},
            "401": _problem("signature_invalid"), "413": _problem("too_large"),
            "415": _problem("unsupported_media_type"), "503": _problem("not_durable"),
        },
    }  # fmt: skip


def _problem(code: str) -> dict[str, Any]:
    return {"description": code, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


if __name__ == "__main__":
    from services.ingress.app import make_api

    json.dump(make_api().openapi(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
