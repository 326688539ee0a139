import stat

import msgspec

from services.devstack import demo_file, memcached, rooms
from services.devstack.stack import CHECKOUT, Stack
from services.runtime.settings import Settings


def test_a_relative_state_folder_lies_in_the_checkout_whatever_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Stack.of(Settings()).state_dir == CHECKOUT / ".local"


def test_files_of_the_default_state_folder_move_with_it(tmp_path):
    settings = Stack.of(Settings(state_dir=str(tmp_path))).settings
    assert settings.policy_file == str(tmp_path / "policy.json")
    assert settings.key_file == str(tmp_path / "kek")


def test_a_policy_file_that_was_named_stays_where_it_is(tmp_path):
    settings = Stack.of(Settings(state_dir=str(tmp_path), policy_file="/etc/recado/policy.json")).settings
    assert settings.policy_file == "/etc/recado/policy.json"


def test_a_secret_is_drawn_once_and_readable_for_its_owner_only(stack):
    assert stack.secret("postgres") == stack.secret("postgres")
    assert stat.S_IMODE(stack.secret_path("postgres").stat().st_mode) == 0o600


def test_what_a_setting_names_is_used_instead_of_our_own(tmp_path):
    named = Settings(
        state_dir=str(tmp_path),
        kafka_bootstrap_servers="k:9092",
        database_url="postgresql://db/x",
        memcached_servers="m:11211",
        graph_url="https://graph.example",
    )
    stack = Stack.of(named)
    assert (stack.kafka_bootstrap, stack.database_url) == ("k:9092", "postgresql://db/x")
    assert memcached.address(stack) == "m:11211"
    assert rooms.simulators(stack) == ["orchestrator"]


def test_a_stack_without_memcached_tells_its_rooms_so(stack):
    assert rooms.room_settings(stack).memcached_servers == ""


def test_rooms_get_the_addresses_and_what_was_configured_for_them(stack):
    rooms.configure(stack, database_url="postgresql://login@db/recado")
    settings = rooms.room_settings(stack)
    assert settings.database_url == "postgresql://login@db/recado"
    assert settings.kafka_bootstrap_servers == "127.0.0.1:20030"
    assert settings.graph_url == "http://127.0.0.1:20010"
    assert stat.S_IMODE(stack.secret_path("room_settings").stat().st_mode) == 0o600


def test_the_demo_file_tells_all_addresses_and_what_was_prepared(stack):
    demo_file.write(stack, {"tenants": [], "verify_token": "v"})
    told = msgspec.json.decode(demo_file.path(stack).read_bytes())
    assert told["ingress"] == "http://127.0.0.1:20000"
    assert told["verify_token"] == "v"
    assert set(told["rooms"]) == set(rooms.ROOMS)
    assert stat.S_IMODE(demo_file.path(stack).stat().st_mode) == 0o600
