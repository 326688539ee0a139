import shutil
import socket

import psycopg
import pytest

from services.devstack import kafka, memcached, postgres, processes, procfs
from services.devstack.infrastructure import (
    PARTS,
    infrastructure_down,
    infrastructure_ports,
    infrastructure_up,
    refuse_taken_ports,
)
from services.devstack.ports import MEMCACHED
from services.devstack.stack import HOST, Stack, StackError
from services.runtime.settings import Settings


def free_base() -> int:
    """A port base of which every port is free, below the range that the system hands out."""
    bases = range(21500, 29500, 100)
    return next(base for base in bases if all(procfs.is_free(HOST, base + n) for n in range(MEMCACHED + 1)))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A stack of this module's own; it is started by whichever test comes first."""
    stack = Stack.of(Settings(port_base=free_base(), state_dir=str(tmp_path_factory.mktemp("stack"))))
    yield stack
    infrastructure_down(stack)
    if not postgres.data_dir(stack).is_relative_to(stack.state_dir):
        shutil.rmtree(stack.outside_dir())


@pytest.fixture
def stack(own):
    infrastructure_up(own)
    return own


def pids(stack: Stack) -> dict[str, int]:
    return {name: known.pid for name in PARTS if (known := processes.running(stack, name))}


def test_all_three_answer_when_up_returns(stack):
    assert kafka.answers(HOST, stack.ports.kafka)
    assert memcached.answers(stack.ports.memcached)
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("select current_database()").fetchone() == ("recado",)


def test_up_while_up_leaves_the_running_processes_alone(stack, capsys):
    before = pids(stack)
    infrastructure_up(stack)
    assert pids(stack) == before
    assert capsys.readouterr().out.count("runs already") == len(PARTS)


def test_nothing_listens_beyond_loopback(stack):
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", stack.ports.postgres))
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", stack.ports.kafka))


def test_postgres_asks_for_the_password(stack):
    wrong = stack.database_url.replace(stack.secret("postgres"), "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_postgres_killed_comes_back_with_what_it_had_committed(stack):
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("create table if not exists kept as select 1 as one")
    postgres.kill(stack)
    postgres.start(stack)
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_kafka_frozen_does_not_answer_and_killed_comes_back(stack):
    kafka.freeze(stack)
    assert not kafka.answers(HOST, stack.ports.kafka)
    kafka.kill(stack)
    kafka.start(stack)
    assert kafka.answers(HOST, stack.ports.kafka)


def test_a_stack_whose_devstack_forgot_it_names_who_holds_the_ports(stack, tmp_path):
    other = Stack.of(Settings(port_base=stack.ports.base, state_dir=str(tmp_path)))
    with pytest.raises(StackError, match=rf"memcached: port {stack.ports.memcached} is taken by pid \d+ \(memcached"):
        refuse_taken_ports(infrastructure_ports(other))


def test_another_port_base_is_refused_while_this_state_folder_is_in_use(stack):
    other = Stack.of(Settings(port_base=stack.ports.base + 50, state_dir=str(stack.state_dir)))
    with pytest.raises(StackError, match=f"RECADO_PORT_BASE={stack.ports.base} runs from"):
        infrastructure_up(other)


def test_down_leaves_no_process_and_no_port_and_may_be_said_twice(stack):
    known = pids(stack).values()
    infrastructure_down(stack)
    infrastructure_down(stack)
    assert [procfs.start_mark(pid) for pid in known] == [None] * len(PARTS)
    refuse_taken_ports(infrastructure_ports(stack))


def test_services_that_were_named_by_settings_are_used_and_not_stopped(stack, tmp_path, capsys):
    named = Settings(
        port_base=stack.ports.base,
        state_dir=str(tmp_path),
        kafka_bootstrap_servers=stack.kafka_bootstrap,
        database_url=stack.database_url,
        memcached_servers=stack.memcached_servers,
    )
    guest = Stack.of(named)
    before = pids(stack)
    infrastructure_up(guest)
    infrastructure_down(guest)
    assert capsys.readouterr().out.count("not started: using") == len(PARTS)
    assert pids(stack) == before


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("kafka_bootstrap_servers", "127.0.0.1:1", id="no broker there"),
        pytest.param("kafka_bootstrap_servers", "localhost", id="no port"),
        pytest.param("database_url", "postgresql://nobody@127.0.0.1:1/x", id="no database there"),
    ],
)
def test_a_named_service_that_is_not_there_is_an_error_with_its_variable(stack, tmp_path, setting, value):
    named = {"kafka_bootstrap_servers": stack.kafka_bootstrap, "database_url": stack.database_url}
    settings = Settings(state_dir=str(tmp_path), memcached_servers="127.0.0.1:1", **(named | {setting: value}))
    with pytest.raises(StackError, match=f"RECADO_{setting.upper()}"):
        infrastructure_up(Stack.of(settings))
