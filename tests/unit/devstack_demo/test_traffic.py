"""What a demonstration sends: as much as was asked for, of every kind, and all of it drawn from the seed."""

import json
from collections import Counter

import pytest

from services.devstack.demo_traffic import traffic

NOW = 1_790_000_000


def a_demo(own_app: str = "99") -> dict:
    """Three tenants with two numbers each, the third with an app of its own."""

    def tenant(place: int, app: dict | None) -> dict:
        accounts = [
            {"account_id": f"acc_{place}{n}", "phone_number": f"+5932{place}0000{n}",
             "phone_number_id": f"10{place}{n}", "waba_id": f"20{place}", "provider": "cloud"}
            for n in range(2)
        ]  # fmt: skip
        return {"company_id": f"company_{place}", "app": app, "accounts": accounts}

    return {"tenants": [tenant(1, None), tenant(2, None), tenant(3, {"id": own_app, "secret": "s"})]}


def drawn(seed: int = 1, messages: int = 300, run: str = "r"):
    return traffic(a_demo(), seed=seed, messages=messages, run=run, now=NOW)


@pytest.mark.parametrize("messages", [30, 100, 300, 1000])
def test_there_are_as_many_webhooks_and_commands_as_asked_for(messages):
    found = drawn(messages=messages)
    foreign = [post for post in found.posts if post.app != post.signed_by or "another app" in post.kind]
    assert len(found.posts) - len(foreign) + len(found.again) == messages
    assert len(found.commands) == messages


def test_there_are_5_of_each_foreign_kind_with_their_own_answers():
    found = Counter((post.kind, post.app, post.signed_by, post.expected) for post in drawn().posts)
    assert found["a house number at another app", "99", "99", 200] == 5
    assert found["a foreign signature", None, "99", 401] == 5


def test_every_kind_comes():
    kinds = {post.kind for post in drawn(messages=30).posts}
    assert kinds >= {
        "one message", "other types", "user without a phone", "batch for several tenants", "twice in one POST",
        "sent+delivered+read, ours", "sent+delivered+read, not ours", "management field", "unknown field",
        "unknown message type", "unknown status",
    }  # fmt: skip


def test_what_comes_again_came_before():
    found = drawn()
    assert all(post in found.posts for post in found.again)


def test_a_batch_has_changes_for_several_tenants():
    batches = [json.loads(post.body) for post in drawn().posts if post.kind == "batch for several tenants"]
    tenants = [{entry["id"] for entry in batch["entry"]} for batch in batches]
    assert any(len(wabas) > 1 for wabas in tenants)


def test_a_users_message_without_a_phone_has_no_number_anywhere():
    post = next(post for post in drawn().posts if post.kind == "user without a phone")
    value = json.loads(post.body)["entry"][0]["changes"][0]["value"]
    assert "from" not in value["messages"][0]
    assert "wa_id" not in value["contacts"][0]


def test_commands_go_several_to_the_same_recipients_and_each_has_its_own_key():
    commands = drawn().commands
    recipients = Counter(command.body.get("phone_number") or command.body["recipient"] for command in commands)
    assert max(recipients.values()) > 2
    assert len({command.key for command in commands}) == len(commands)


def test_the_same_seed_and_run_draw_the_same_and_another_seed_another_order():
    assert drawn(seed=1) == drawn(seed=1)
    assert [post.kind for post in drawn(seed=1).posts] != [post.kind for post in drawn(seed=2).posts]


def test_another_run_of_a_seed_has_other_keys_and_other_messages():
    one, two = drawn(run="r"), drawn(run="s")
    assert not {command.key for command in one.commands} & {command.key for command in two.commands}
    assert not {post.body for post in one.posts if post.body} & {post.body for post in two.posts}
