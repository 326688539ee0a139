"""Settings are one typed page: read once, wrong ones stop the process with their name, secrets are masked."""

import pytest

from services.runtime.settings import Settings, SettingsError, environment, load, table


def test_nothing_set_means_the_defaults():
    assert load({}) == Settings()


def test_what_is_set_is_parsed_to_its_type():
    settings = load({"RECADO_PORT_BASE": "9000", "RECADO_SEND_LEASE_SECONDS": "1.5", "RECADO_TOPIC_PREFIX": "ci."})
    assert (settings.port_base, settings.send_lease_seconds, settings.topic_prefix) == (9000, 1.5, "ci.")


def test_other_programs_variables_are_none_of_ours():
    assert load({"PATH": "/bin", "recado_port_base": "1", "XRECADO_PORT_BASE": "2"}) == Settings()


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("RECADO_PORTBASE", "RECADO_PORT_BASE"),
        ("RECADO_DATABASE", "RECADO_DATABASE_URL"),
        ("RECADO_SEND_LEASE_SECOND", "RECADO_SEND_LEASE_SECONDS"),
        ("RECADO_KAFKA_BOOTSTRAP", "RECADO_KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(wrong, nearest):
    with pytest.raises(SettingsError, match=rf"{wrong} is not a setting; the nearest one is {nearest} "):
        load({wrong: "1"})


@pytest.mark.parametrize(
    ("name", "text"),
    [("RECADO_PORT_BASE", "eighty"), ("RECADO_SEND_LEASE_SECONDS", "45s"), ("RECADO_SEND_SLOTS", "1.5"),
     ("RECADO_METRICS_PORT", "")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_its_variable(name, text):
    with pytest.raises(SettingsError, match=f"^{name} cannot be read"):
        load({name: text})


def test_the_plan_s_names_are_accepted():
    settings = load({"MEMCACHED_SERVERS": "a:11211", "LOG_LEVEL": "debug"})
    assert (settings.memcached_servers, settings.log_level) == ("a:11211", "debug")


def test_two_names_that_agree_are_no_conflict():
    assert load({"LOG_LEVEL": "error", "RECADO_LOG_LEVEL": "error"}).log_level == "error"


@pytest.mark.parametrize("first", ["LOG_LEVEL", "RECADO_LOG_LEVEL"])
def test_two_names_that_disagree_stop_the_process_and_are_both_named(first):
    values = dict(sorted({"LOG_LEVEL": "error", "RECADO_LOG_LEVEL": "info"}.items(), key=lambda row: row[0] != first))
    with pytest.raises(SettingsError) as caught:
        load(values)
    assert "LOG_LEVEL" in str(caught.value)
    assert "RECADO_LOG_LEVEL" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("RECADO_LOG_LEVEL", "loud"), ("RECADO_LOG_FORMAT", "xml"), ("RECADO_PROFILE", "staging")],
)
def test_a_word_that_is_none_of_the_known_ones_is_refused_with_its_variable(name, text):
    with pytest.raises(SettingsError, match=f"^{name} "):
        load({name: text})


def test_the_table_has_a_row_with_a_sentence_for_each_setting():
    rows = table(Settings()).splitlines()
    names = [row.split()[0] for row in rows]
    assert names == ["RECADO_" + field.upper() for field in Settings.__struct_fields__]
    assert all(len(row.split()) > 3 for row in rows)


def test_the_table_masks_secrets():
    settings = Settings(database_url="postgresql://recado:hunter2@here/recado", orchestrator_secret="whsec_abc")
    shown = table(settings)
    assert "hunter2" not in shown
    assert "whsec_abc" not in shown
    assert shown.count("***") == 2


def test_a_child_process_reads_the_same_settings():
    settings = Settings(port_base=9000, topic_prefix="ci.", send_lease_seconds=1.5, database_url="postgresql://x")
    assert load(environment(settings)) == settings


def test_a_child_process_is_given_only_what_differs():
    assert environment(Settings()) == {}
    assert environment(Settings(port_base=9000)) == {"RECADO_PORT_BASE": "9000"}


def test_settings_cannot_be_changed_once_they_are_read():
    settings = load({})
    with pytest.raises(AttributeError):
        settings.port_base = 1  # type: ignore[misc]  # that it is refused is the point
