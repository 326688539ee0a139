"""Where a room spends its CPU, as the samples of profiled.py have it. Not here: running the room, taking samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.devstack.stack import CHECKOUT

TOP: Final = 15
_OURS: Final = f"{CHECKOUT}/services/"
_PACKAGES: Final = "site-packages/"


class Samples(msgspec.Struct, frozen=True):
    """How often a function was found running (`own`), and how often on the stack (`below`)."""

    count: int
    own: dict[str, int]
    below: dict[str, int]


def top(path: Path) -> str:
    """Two lists, in percent of all samples: what runs itself, and our functions with all that they call."""
    if not path.exists():
        return f"no profile was written: does this part run that room? ({path.name})"
    seen = msgspec.json.decode(path.read_bytes(), type=Samples)
    ours = {place: count for place, count in seen.below.items() if place.startswith(_OURS)}
    return "\n".join(
        [
            f"  {seen.count} samples",
            "  itself, and what it calls in C",
            *_lines(seen.own, seen.count),
            "  with all that it calls",
            *_lines(ours, seen.count),
        ]
    )


def _lines(counts: Mapping[str, int], whole: int) -> list[str]:
    first = sorted(counts, key=counts.__getitem__, reverse=True)[:TOP]
    return [f"  {counts[place] / whole:6.1%}  {_short(place)}" for place in first]


def _short(place: str) -> str:
    """Without the path of the checkout or of the environment."""
    return place.removeprefix(f"{CHECKOUT}/").rpartition(_PACKAGES)[2]
