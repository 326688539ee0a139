import pytest

from services.devstack.ports import METRICS_ORDER, PortBaseError, Ports

RUNNING_MD = {
    "ingress": 8080,
    "graph": 8090,
    "orchestrator": 8091,
    "kafka": 8110,
    "kafka_controller": 8111,
    "postgres": 8112,
    "memcached": 8113,
}


@pytest.mark.parametrize(("part", "port"), RUNNING_MD.items())
def test_every_part_has_the_port_that_outsiders_rely_on(part, port):
    assert getattr(Ports(8080), part) == port


def test_rooms_answer_metrics_in_the_published_order():
    published = ("ingress", "normaliser", "sender", "notifier", "scheduler", "supervisor", "metering")
    assert [Ports(8080).metrics(room) for room in published] == list(range(8100, 8107))


def test_two_bases_33_apart_share_no_port():
    def all_of(base: int) -> set[int]:
        ports = Ports(base)
        return {getattr(ports, part) for part in RUNNING_MD} | {ports.metrics(room) for room in METRICS_ORDER}

    assert not all_of(8080) & all_of(8080 + 34)


@pytest.mark.parametrize("base", [0, 80, 65503, 70000])
def test_a_base_without_room_for_the_offsets_is_refused_with_the_variable_s_name(base):
    with pytest.raises(PortBaseError, match="RECADO_PORT_BASE"):
        Ports(base)
