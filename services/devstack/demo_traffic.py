"""What a demonstration sends: how many webhooks of which kind, in which order, and which commands. All from one seed.

Not here: what a body says (demo_bodies.py), HTTP.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from services.devstack import demo_bodies as bodies
from services.devstack.demo_bodies import Json, Line, Person

HOUSE: Final = None
_USERS: Final = 120
_BSUID_USERS: Final = 30
_SHARES: Final = 300


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook to post. `app` names whose URL and `signed_by` whose secret (None: the house app's).

    `of_ours`: its body is written when a message of ours has got WhatsApp's id, which stands in for `…`.
    """

    kind: str
    body: bytes
    app: str | None = HOUSE
    signed_by: str | None = HOUSE
    expected: int = 200
    of_ours: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True):
    company_id: str
    key: str
    body: Json


class Traffic(msgspec.Struct, frozen=True):
    """`posts` in a shuffled order, foreign ones among them; `again` are posted once more, after a restart."""

    posts: list[Post]
    again: list[Post]
    commands: list[Command]


def lines_of(demo: Json) -> list[Line]:
    """Every business number of demo.json."""
    return [
        Line(tenant["company_id"], account["account_id"], account["phone_number"], account["phone_number_id"],
             account["waba_id"], tenant["app"]["id"] if tenant["app"] else None)
        for tenant in demo["tenants"] for account in tenant["accounts"]
    ]  # fmt: skip


def traffic(demo: Json, *, seed: int, messages: int, run: str, now: int) -> Traffic:
    """Draw everything. `run` makes keys and texts this run's own; `now` is in seconds since the epoch."""
    dice = Random(f"{seed}|{run}")  # noqa: S311 - a demonstration, no secret
    lines = lines_of(demo)
    makers = _Makers(dice, lines, now)
    posts = [makers.post(kind) for kind, number in _numbers(messages).items() for _ in range(number)]
    dice.shuffle(posts)
    again = [post for post in posts if post.kind in {"one message", "twice in one POST"}][: _scaled(_AGAIN, messages)]
    rest = [post for post in posts if post not in again][: messages - 2 * len(again)]
    posts = again + rest + makers.foreign()
    dice.shuffle(posts)
    return Traffic(posts, again, _commands(dice, lines, messages, run))


def _numbers(messages: int) -> dict[str, int]:
    """How many posts of each kind; single messages fill up to the number that was asked for."""
    scaled = {kind: _scaled(share, messages) for kind, (share, _) in _KINDS.items()}
    scaled["one message"] = max(1, messages - sum(scaled.values()) + scaled["one message"])
    return scaled


def _scaled(share: int, messages: int) -> int:
    return max(1, round(share * messages / _SHARES))


class _Makers:
    def __init__(self, dice: Random, lines: Sequence[Line], now: int) -> None:
        self.dice = dice
        self.lines = lines
        self.house = [line for line in lines if line.app is None]
        self.now = now

    def post(self, kind: str) -> Post:
        return _KINDS[kind][1](self, kind)

    def user(self) -> Person:
        return bodies.person(self.dice, self.dice.randrange(_USERS))

    def on(self, line: Line, kind: str, *changes: Json, time: int | None = None, **more: Any) -> Post:
        body = bodies.render(bodies.envelope([bodies.entry(line, *changes, time=time)]))
        return Post(kind=kind, body=body, app=line.app, signed_by=line.app, **more)

    def one(self, kind: str) -> Post:
        line, user = self.dice.choice(self.lines), self.user()
        return self.on(line, kind, bodies.inbound(line, user, bodies.text_message(self.dice, user, self.now)))

    def other(self, kind: str) -> Post:
        line, user = self.dice.choice(self.lines), self.user()
        return self.on(line, kind, bodies.inbound(line, user, bodies.other_message(self.dice, user, self.now)))

    def unknown_kind(self, kind: str) -> Post:
        line, user = self.dice.choice(self.lines), self.user()
        return self.on(line, kind, bodies.inbound(line, user, bodies.unknown_message(self.dice, user, self.now)))

    def without_phone(self, kind: str) -> Post:
        line = self.dice.choice(self.lines)
        user = bodies.person(self.dice, self.dice.randrange(_BSUID_USERS), with_phone=False)
        return self.on(line, kind, bodies.inbound(line, user, bodies.text_message(self.dice, user, self.now)))

    def batch(self, kind: str) -> Post:
        """Many changes for the tenants of the house app, in one POST."""
        entries = []
        for line in self.dice.sample(self.house, k=self.dice.randint(2, len(self.house))):
            changes = [self._change(line) for _ in range(self.dice.randint(1, 4))]
            entries.append(bodies.entry(line, *changes))
        return Post(kind=kind, body=bodies.render(bodies.envelope(entries)))

    def _change(self, line: Line) -> Json:
        user = self.user()
        if self.dice.random() < 0.3:  # noqa: PLR2004 - a share
            word = self.dice.choice(("sent", "delivered", "read"))
            return bodies.statuses(line, user, bodies.status(word, bodies.wamid(self.dice), user, self.now))
        messages = [bodies.text_message(self.dice, user, self.now) for _ in range(self.dice.randint(1, 3))]
        return bodies.inbound(line, user, *messages)

    def twice(self, kind: str) -> Post:
        line, user = self.dice.choice(self.lines), self.user()
        message = bodies.text_message(self.dice, user, self.now)
        return self.on(line, kind, bodies.inbound(line, user, message, message))

    def three_statuses(self, kind: str) -> Post:
        """Of a message that somebody else sent over this number: kept, and waits for a message that may come."""
        line, user, name = self.dice.choice(self.lines), self.user(), bodies.wamid(self.dice)
        words = ("sent", "delivered", "read")
        return self.on(line, kind, bodies.statuses(line, user, *(self._status(w, name, user) for w in words)))

    def _status(self, word: str, name: str, user: Person) -> Json:
        return bodies.status(word, name, user, self.now)

    def three_of_ours(self, kind: str) -> Post:
        return Post(kind=kind, body=b"", of_ours=True)

    def unknown_status(self, kind: str) -> Post:
        line, user, name = self.dice.choice(self.lines), self.user(), bodies.wamid(self.dice)
        return self.on(line, kind, bodies.statuses(line, user, self._status("teleported", name, user)))

    def management(self, kind: str) -> Post:
        line = self.dice.choice(self.lines)
        return self.on(line, kind, bodies.management_change(self.dice, line), time=self.now)

    def unknown_field(self, kind: str) -> Post:
        line = self.dice.choice(self.lines)
        return self.on(line, kind, bodies.unknown_change(self.dice, line), time=self.now)

    def foreign(self) -> list[Post]:
        """A house number in the third tenant's own webhook (quarantined), and its secret on /webhook (refused)."""
        own = next(line.app for line in self.lines if line.app)
        found = []
        for app, expected, kind in ((own, 200, "a house number at another app"), (HOUSE, 401, "a foreign signature")):
            for _ in range(_FOREIGN_EACH):
                line, user = self.dice.choice(self.house), self.user()
                change = bodies.inbound(line, user, bodies.text_message(self.dice, user, self.now))
                body = bodies.render(bodies.envelope([bodies.entry(line, change)]))
                found.append(Post(kind=kind, body=body, app=app, signed_by=own, expected=expected))
        return found


def three_statuses_of(line: Line, user: Person, name: str, now: int) -> bytes:
    """The body of a post that was waiting for a message of ours."""
    words = ("sent", "delivered", "read")
    change = bodies.statuses(line, user, *(bodies.status(word, name, user, now) for word in words))
    return bodies.render(bodies.envelope([bodies.entry(line, change)]))


_AGAIN: Final = 15
_FOREIGN_EACH: Final = 5
_KINDS: Final[dict[str, tuple[int, Callable[[_Makers, str], Post]]]] = {
    "one message": (115, _Makers.one),
    "other types": (40, _Makers.other),
    "user without a phone": (30, _Makers.without_phone),
    "batch for several tenants": (25, _Makers.batch),
    "twice in one POST": (20, _Makers.twice),
    "sent+delivered+read, not ours": (15, _Makers.three_statuses),
    "sent+delivered+read, ours": (15, _Makers.three_of_ours),
    "management field": (15, _Makers.management),
    "unknown field": (10, _Makers.unknown_field),
    "unknown message type": (10, _Makers.unknown_kind),
    "unknown status": (5, _Makers.unknown_status),
}
"""Of 300; and of them the last 15 places are left to posts that come again after a restart."""


def _commands(dice: Random, lines: Sequence[Line], messages: int, run: str) -> list[Command]:
    """Texts and templates, several to the same recipients, most of them to people who write to us as well."""
    recipients = max(2, messages // 6)
    commands = []
    for number in range(messages):
        line = dice.choice(lines)
        to = {"phone_number": f"+{bodies.person(dice, dice.randrange(recipients)).phone}"}
        if dice.random() < 0.1:  # noqa: PLR2004 - a share
            to = {"recipient": bodies.person(dice, dice.randrange(_BSUID_USERS), with_phone=False).user_id}
        lane = dice.choices(("normal", "urgent", "bulk"), weights=(7, 1, 2))[0]
        body = to | {"account_id": line.account_id, "priority": lane, "metadata": {"demo": run, "number": number}}
        commands.append(
            Command(company_id=line.company_id, key=f"demo-{run}-{number}", body=body | _content(dice, run, number))
        )
    return commands


def _content(dice: Random, run: str, number: int) -> Json:
    if dice.random() < 0.2:  # noqa: PLR2004 - a share
        variables = {"name": "Juan", "company": "MiEmpresa"} if number % 2 else ["Juan", "MiEmpresa"]
        return {"type": "template", "content": "", "template_id": "welcome_template", "language": "es",
                "variables": variables}  # fmt: skip
    return {"type": "text", "content": f"Pedido {number} de la corrida {run} ✓"}
