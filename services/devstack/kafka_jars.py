"""Where Kafka's jars come from: Maven by `deploy/kafka/pom.xml`, or RECADO_KAFKA_HOME. Not here: running it."""

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.devstack import packages, processes
from services.devstack.progress import pause, say
from services.devstack.stack import CHECKOUT, Stack, StackError

POM: Final = CHECKOUT / "deploy/kafka/pom.xml"
# One copy for every stack of this checkout, the tests' among them.
LIBS: Final = CHECKOUT / ".local/kafka/libs"
FETCH_SECONDS: Final = 900.0
OLDEST_JAVA: Final = 17


def java(stack: Stack) -> str:
    """The path of a Java that can run the broker."""
    path = packages.ensure(stack, "java", "default-jre-headless")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    if java_version(said) < OLDEST_JAVA:
        first = said.splitlines()[0] if said else "nothing"
        raise StackError(
            f"kafka: Kafka 4 needs Java {OLDEST_JAVA} or later; {path} says: {first}. "
            "Type: sudo apt-get install openjdk-17-jre-headless"
        )
    return path


def java_version(said: str) -> int:
    """The feature number in the first line of `java -version`; 0 when there is none. 1.8 is 8."""
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else 0


def class_path(stack: Stack) -> str:
    """The class path of the broker; fetches the jars when they are not there or the pom has changed."""
    home = stack.settings.kafka_home
    if not home:
        return f"{fetch(stack)}/*"
    libs = Path(home).expanduser().resolve() / "libs"
    if not any(libs.glob("kafka_*.jar")):
        raise StackError(f"RECADO_KAFKA_HOME={home}: no libs/kafka_*.jar there; name an unpacked Kafka distribution")
    return f"{libs}/*"


def fetch(stack: Stack) -> Path:
    """The folder with the jars, complete: it is filled beside and renamed."""
    with _one_at_a_time():
        if not _is_current():
            _copy_dependencies(stack)
    return LIBS


def _is_current() -> bool:
    stamp = LIBS / "stamp"
    return stamp.exists() and stamp.read_text() == _wanted()


def _wanted() -> str:
    return hashlib.sha256(POM.read_bytes()).hexdigest()


def _copy_dependencies(stack: Stack) -> None:
    maven = packages.ensure(stack, "mvn", "maven")
    partial = LIBS.with_name("libs.partial")
    shutil.rmtree(partial, ignore_errors=True)
    say("kafka", "fetching its jars with Maven (once, 100 MB)")
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    log = stack.logs_dir / "maven.log"
    processes.run_tool("kafka", [*command, f"-DoutputDirectory={partial}"], limit_seconds=FETCH_SECONDS, log=log)
    (partial / "stamp").write_text(_wanted())
    shutil.rmtree(LIBS, ignore_errors=True)
    partial.rename(LIBS)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with (LIBS.parent / "libs.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pause(0.2)
        yield
