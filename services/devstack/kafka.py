"""The local Kafka broker: one combined KRaft node on loopback. Not here: topics, and the client's settings."""

import base64
import secrets
import shutil
import signal
import socket
import struct
from pathlib import Path
from string import Template
from typing import Final

from services.devstack import kafka_jars, processes
from services.devstack.progress import say
from services.devstack.stack import CHECKOUT, HOST, Stack, StackError

NAME: Final = "kafka"
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0  # a clean stop saves ten seconds of recovery at the next start (facts, kafka §12)
ASK_SECONDS: Final = 2.0
TEMPLATES: Final = CHECKOUT / "deploy/kafka"

_METADATA_KEY: Final = 3
_CLIENT: Final = b"devstack"


def begin(stack: Stack) -> None:
    """Start it unless it runs or brokers were named; `finish` waits until it answers."""
    if stack.settings.kafka_bootstrap_servers:
        _expect_answer(stack.settings.kafka_bootstrap_servers)
        return
    if processes.running(stack, NAME):
        return
    class_path = kafka_jars.class_path(stack)
    properties = write_configuration(stack)
    _format_once(stack, class_path, properties)
    command = [*_java(stack, class_path, "-Xms256m", "-Xmx512m"), "kafka.Kafka", str(properties)]
    processes.start(stack, NAME, processes.Program(command, processes.inherited_environment()))


def finish(stack: Stack) -> float:
    """Wait until the broker answers a metadata request; returns the seconds."""
    if stack.settings.kafka_bootstrap_servers:
        return 0.0
    return processes.wait_ready(stack, NAME, START_SECONDS, lambda: answers(HOST, stack.ports.kafka))


def start(stack: Stack) -> None:
    begin(stack)
    finish(stack)


def stop(stack: Stack) -> None:
    processes.stop(stack, [NAME], grace_seconds=STOP_SECONDS)


def restart(stack: Stack) -> None:
    stop(stack)
    start(stack)


def kill(stack: Stack) -> None:
    """Send -9; `start` brings it back with what it had acknowledged."""
    processes.kill(stack, NAME)


def freeze(stack: Stack) -> None:
    """Connections are taken and nothing is answered, until `thaw`."""
    processes.send(stack, NAME, signal.SIGSTOP)


def thaw(stack: Stack) -> None:
    processes.send(stack, NAME, signal.SIGCONT)


def answers(host: str, port: int) -> bool:
    """Whether a broker there lists at least one broker in its metadata.

    Written in bytes because a client library would bring its own retries and a thread or loop for one question.
    """
    header = struct.pack(">hhih", _METADATA_KEY, 1, 0, len(_CLIENT)) + _CLIENT
    request = header + struct.pack(">i", 0)  # no topics
    try:
        with socket.create_connection((host, port), timeout=ASK_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12, socket.MSG_WAITALL)  # length, correlation, number of brokers
    except OSError:
        return False
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] > 0  # noqa: PLR2004 - three 32-bit numbers


def _expect_answer(servers: str) -> None:
    """Brokers that a setting names must be there: nobody here can start them."""
    places = [server.strip().rpartition(":") for server in servers.split(",")]
    if not all(port.isdigit() for _, _, port in places):
        raise StackError(f"RECADO_KAFKA_BOOTSTRAP_SERVERS={servers}: give host:port, several with commas between")
    if not any(answers(host, int(port)) for host, _, port in places):
        raise StackError(f"RECADO_KAFKA_BOOTSTRAP_SERVERS={servers}: no broker answers there")


def write_configuration(stack: Stack) -> Path:
    """The templates of deploy/kafka with this stack's ports and folders filled in."""
    folder = stack.state_dir / NAME
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "broker_port": str(stack.ports.kafka),
        "controller_port": str(stack.ports.kafka_controller),
        "data": str(folder / "data"),
    }
    for name in ("server.properties", "log4j2.properties"):
        (folder / name).write_text(Template((TEMPLATES / name).read_text()).substitute(values))
    return folder / "server.properties"


def _format_once(stack: Stack, class_path: str, properties: Path) -> None:
    formatted = stack.state_dir / NAME / "formatted"
    if formatted.exists():
        return
    shutil.rmtree(stack.state_dir / NAME / "data", ignore_errors=True)
    say(NAME, "formatting a new data folder")
    cluster = base64.urlsafe_b64encode(b"\x2e" + secrets.token_bytes(15)).decode().rstrip("=")  # never a leading dash
    command = [*_java(stack, class_path, "-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format"]
    log = stack.logs_dir / "kafka-format.log"
    processes.run_tool(NAME, [*command, "-t", cluster, "-c", str(properties)], limit_seconds=60.0, log=log)
    formatted.touch()


def _java(stack: Stack, class_path: str, *options: str) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={stack.state_dir / NAME / 'log4j2.properties'}"
    return [kafka_jars.java(stack), *options, "-Djava.awt.headless=true", logging, "-cp", class_path]
