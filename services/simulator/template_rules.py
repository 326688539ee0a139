"""Meta's validation of a template send (facts §2.2): pure; raises MetaError. Not here: what a template says.

The simulator keeps no templates, so it cannot count parameters (132000) or miss a language (132001): script these as
faults.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from services.domain import limits
from services.simulator.meta_errors import bad_value, invalid, missing

_NAME: Final = re.compile(rf"[a-z0-9_]{{1,{limits.TEMPLATE_NAME_CHARS}}}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
_LAYOUT: Final = re.compile(rf"[\n\r\t]| {{{limits.TEMPLATE_VARIABLE_SPACES + 1},}}")
_COMPONENTS: Final = frozenset({"header", "body", "button", "carousel", "limited_time_offer", "order_status"})
_BUTTONS: Final = frozenset({
    "quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "voice_call", "order_details",
})  # fmt: skip
_PARAMETERS: Final = frozenset({
    "text", "currency", "date_time", "image", "video", "document", "location", "payload", "coupon_code", "action",
    "product", "limited_time_offer",
})  # fmt: skip
_BUTTONS_IN_ALL: Final = 10
_COUPON_CHARS: Final = 15


def check_template(template: Mapping[str, Any]) -> None:
    name = template.get("name")
    if name is None:
        raise missing("template['name']")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid("Param template['name'] must be lower-case letters, digits and underscores.")
    language = template.get("language")
    if not isinstance(language, dict) or "code" not in language:
        raise missing("template['language']['code']")
    if not isinstance(language["code"], str) or not _LANGUAGE.fullmatch(language["code"]):
        raise invalid("Param template['language']['code'] is not a supported language.")
    components = template.get("components", [])
    if not isinstance(components, list):
        raise invalid("Param template['components'] must be an array.")
    for place, component in enumerate(components):
        _check_component(component, f"template['components'][{place}]")


def _check_component(component: Any, place: str) -> None:
    if not isinstance(component, dict):
        raise invalid(f"Param {place} must be a JSON object.")
    kind = str(component.get("type", "")).lower()
    if kind not in _COMPONENTS:
        raise invalid(f"Param {place}['type'] must be one of {{{', '.join(sorted(_COMPONENTS)).upper()}}}")
    if kind == "button":
        _check_button(component, place)
    parameters = component.get("parameters", [])
    if not isinstance(parameters, list):
        raise invalid(f"Param {place}['parameters'] must be an array.")
    named = {isinstance(parameter, dict) and "parameter_name" in parameter for parameter in parameters}
    if len(named) > 1:
        raise invalid(f"Param {place}['parameters'] mixes named and positional parameters.")
    for number, parameter in enumerate(parameters):
        _check_parameter(parameter, f"{place}['parameters'][{number}]")


def _check_button(component: Mapping[str, Any], place: str) -> None:
    if str(component.get("sub_type", "")).lower() not in _BUTTONS:
        raise missing(f"{place}['sub_type']")
    index = str(component.get("index", ""))
    if not index.isdecimal() or int(index) >= _BUTTONS_IN_ALL:
        raise bad_value(f"Parameter {place}['index'] must be 0 to {_BUTTONS_IN_ALL - 1}")


def _check_parameter(parameter: Any, place: str) -> None:
    kind = str(parameter.get("type", "")).lower() if isinstance(parameter, dict) else ""
    if kind not in _PARAMETERS:
        raise invalid(f"Param {place}['type'] must be one of {{{', '.join(sorted(_PARAMETERS)).upper()}}}")
    if kind not in parameter and kind != "action":
        raise missing(f"{place}['{kind}']")
    if kind == "text":
        _check_text(parameter["text"], place)
    if kind == "coupon_code" and len(str(parameter["coupon_code"])) > _COUPON_CHARS:
        raise invalid(f"Param {place}['coupon_code'] must be at most {_COUPON_CHARS} characters long.")


def _check_text(text: Any, place: str) -> None:
    if not isinstance(text, str) or not text:
        raise missing(f"{place}['text']")
    if len(text) > limits.TEMPLATE_VARIABLE_CHARS:
        raise invalid(f"Param {place}['text'] must be at most {limits.TEMPLATE_VARIABLE_CHARS} characters long.")
    if _LAYOUT.search(text):
        raise invalid("Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
