import pytest

from services.devstack import kafka, kafka_jars, postgres, status
from services.devstack.stack import Stack, StackError
from services.runtime.settings import Settings


@pytest.fixture
def broker(stack):
    """The broker's properties as they are written for port base 20000."""
    lines = kafka.write_configuration(stack).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_broker_listens_on_loopback_on_its_two_ports_and_nowhere_else(broker):
    assert broker["listeners"] == "PLAINTEXT://127.0.0.1:20030,CONTROLLER://127.0.0.1:20031"
    assert broker["controller.quorum.voters"] == "1@127.0.0.1:20031"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("auto.create.topics.enable", "false", id="a mistyped topic is an error"),
        pytest.param("group.initial.rebalance.delay.ms", "0", id="groups start at once"),
        pytest.param("group.min.session.timeout.ms", "6000", id="sessions may be as short as ours"),
        pytest.param("broker.session.timeout.ms", "3000", id="a quick start after kill -9"),
        pytest.param("log.retention.hours", "720", id="promises are kept 30 days"),
        pytest.param("offsets.topic.num.partitions", "8", id="a quick start"),
    ],
)
def test_the_broker_is_set_as_the_fact_sheet_says(broker, name, value):
    assert broker[name] == value


def test_a_kafka_home_without_jars_is_refused_with_its_variable(tmp_path):
    stack = Stack.of(Settings(state_dir=str(tmp_path), kafka_home=str(tmp_path)))
    with pytest.raises(StackError, match="RECADO_KAFKA_HOME"):
        kafka_jars.class_path(stack)


def test_a_kafka_home_is_used_instead_of_maven(tmp_path):
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs/kafka_2.13-4.3.1.jar").touch()
    stack = Stack.of(Settings(state_dir=str(tmp_path), kafka_home=str(tmp_path)))
    assert kafka_jars.class_path(stack) == f"{tmp_path}/libs/*"


def test_postgres_listens_on_loopback_only_by_password_only_and_keeps_what_it_commits(stack):
    lines = postgres.configuration(stack).splitlines()
    assert {"listen_addresses = '127.0.0.1'", "port = 20032", "unix_socket_directories = ''"} <= set(lines)
    assert {"fsync = on", "synchronous_commit = on"} <= set(lines)
    assert postgres.ACCESS == "host all all 127.0.0.1/32 scram-sha-256\n"


def test_postgres_writes_neither_parameters_nor_row_values_to_its_log(stack):
    lines = set(postgres.configuration(stack).splitlines())
    assert {"log_parameter_max_length_on_error = 0", "log_error_verbosity = terse"} <= lines


def test_a_folder_that_others_may_not_enter_is_not_for_an_unprivileged_server(tmp_path):
    tmp_path.chmod(0o700)
    assert not postgres.can_enter("nobody", tmp_path / "postgres")


def test_status_sums_a_metric_over_its_labels():
    text = (
        "# TYPE recado_dead_letters_total counter\n"
        'recado_dead_letters_total{room="sender",reason="bug"} 2.0\n'
        'recado_dead_letters_total{room="sender",reason="wrong_app"} 3.0\n'
        'recado_dead_letters_created{room="sender",reason="bug"} 1.7e+09\n'
    )
    assert status.summed(text) == {"recado_dead_letters": 5.0}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "21" 2023-09-19 LTS', 21),
        ('openjdk version "1.8.0_412"', 8),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", 0),
    ],
)
def test_the_version_of_java_is_read_from_its_first_line(said, version):
    assert kafka_jars.java_version(said) == version
