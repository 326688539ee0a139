"""The local PostgreSQL server, on loopback and by password only. Not here: roles, schemas and migrations."""

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from services.devstack import packages, processes
from services.devstack.progress import pause, say
from services.devstack.stack import DATABASE, HOST, OWNER, Stack, StackError

NAME: Final = "postgres"
START_SECONDS: Final = 120.0  # recovery after a crash included
STOP_SECONDS: Final = 20.0
OLDEST: Final = 14  # recovery_init_sync_method and client_connection_check_interval appear there
# After kill -9 the old backends hold the shared memory until they notice that their postmaster is gone.
STILL_HELD: Final = ("is still in use", "could not bind")

# Sized for a laptop; the reasons of each are in the fact sheet on PostgreSQL. Durability is not traded away.
CONFIGURATION: Final = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 256MB
max_locks_per_transaction = 1024
max_wal_size = 2GB
checkpoint_timeout = 10min
fsync = on
synchronous_commit = on
default_transaction_isolation = 'read committed'
idle_in_transaction_session_timeout = 30s
autovacuum_max_workers = 4
autovacuum_vacuum_cost_limit = 2000
autovacuum_freeze_max_age = 1000000000
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_statement = 'none'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
"""
LINUX: Final = "recovery_init_sync_method = syncfs\nclient_connection_check_interval = 5s\n"
ACCESS: Final = f"host all all {HOST}/32 scram-sha-256\n"


def begin(stack: Stack) -> None:
    """Start it unless it runs or a database was named; `finish` waits until it answers."""
    if stack.settings.database_url:
        _expect_answer(stack)
        return
    if processes.running(stack, NAME):
        return
    binaries = _binaries(stack)
    user = _unprivileged_user()
    folder = data_dir(stack)
    _initialise_once(stack, binaries, folder, user)
    _write(folder / "postgresql.conf", configuration(stack), user)
    _write(folder / "pg_hba.conf", ACCESS, user)
    command = [str(binaries / "postgres"), "-D", str(folder)]
    processes.start(stack, NAME, processes.Program(command, processes.inherited_environment(), user))


def finish(stack: Stack) -> float:
    """Wait until it answers and has our database; returns the seconds."""
    if stack.settings.database_url:
        return 0.0
    try:
        took = processes.wait_ready(stack, NAME, START_SECONDS, lambda: _answers(stack))
    except StackError as problem:
        if not any(reason in str(problem) for reason in STILL_HELD):
            raise
        pause(2.0)
        begin(stack)
        took = processes.wait_ready(stack, NAME, START_SECONDS, lambda: _answers(stack))
    _create_database_once(stack)
    return took


def start(stack: Stack) -> None:
    begin(stack)
    finish(stack)


def stop(stack: Stack) -> None:
    """INT is PostgreSQL's fast stop; TERM would wait for every client to leave."""
    processes.stop(stack, [NAME], grace_seconds=STOP_SECONDS, number=signal.SIGINT)


def kill(stack: Stack) -> None:
    """Send -9 to the server; `start` brings it back through crash recovery."""
    processes.kill(stack, NAME)


def data_dir(stack: Stack) -> Path:
    """Under the state folder, unless the unprivileged user could not get there."""
    user = _unprivileged_user()
    if user is None or can_enter(user, stack.state_dir):
        return stack.state_dir / NAME / "data"
    return stack.outside_dir() / NAME / "data"


def _binaries(stack: Stack) -> Path:
    """The folder with `postgres` and `initdb`: of the version that made the data, else the newest."""
    found = _installed()
    if not found:
        packages.install(stack, NAME, "postgresql")
        found = _installed()
    if not found:
        raise StackError(f"postgres: no server of version {OLDEST} or later found; set RECADO_DATABASE_URL to use one")
    version = data_dir(stack) / "PG_VERSION"
    if not version.exists():
        return found[max(found)]
    made_by = int(version.read_text())
    if made_by not in found:
        have = ", ".join(str(major) for major in sorted(found))
        raise StackError(
            f"postgres: {version.parent} was made by PostgreSQL {made_by}, here is {have}: "
            f"install postgresql-{made_by}, or type `make clean` to begin with empty data"
        )
    return found[made_by]


def _installed() -> dict[int, Path]:
    """Every usable installation by its major version."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = packages.find("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    versions = {_major(folder): folder for folder in folders if (folder / "postgres").exists()}
    return {major: folder for major, folder in versions.items() if major >= OLDEST}


def _major(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else 0


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: whom to run it as then."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def can_enter(user: str, folder: Path) -> bool:
    """Whether each folder on the way is open to that user."""
    entry = pwd.getpwnam(user)
    for place in (folder, *folder.parents):
        if not place.exists():
            continue
        mode = place.stat()
        bit = (
            stat.S_IXUSR
            if mode.st_uid == entry.pw_uid
            else stat.S_IXGRP
            if mode.st_gid == entry.pw_gid
            else stat.S_IXOTH
        )
        if not mode.st_mode & bit:
            return False
    return True


def _initialise_once(stack: Stack, binaries: Path, folder: Path, user: str | None) -> None:
    """Made beside and renamed: an interrupted initdb leaves nothing that looks like data."""
    if (folder / "PG_VERSION").exists():
        return
    say(NAME, "making a new data folder")
    partial = folder.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    password = partial.with_name("password")
    _write(password, stack.secret(NAME), user)
    _give(partial, user)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={OWNER}"]
    command = [str(binaries / "initdb"), "-D", str(partial), f"--pwfile={password}", *options]
    try:
        processes.run_tool(NAME, command, limit_seconds=120.0, log=stack.logs_dir / "initdb.log", user=user)
    finally:
        password.unlink()
    partial.rename(folder)


def configuration(stack: Stack) -> str:
    own = CONFIGURATION.format(host=HOST, port=stack.ports.postgres)
    return own + LINUX if sys.platform == "linux" else own


def _write(path: Path, text: str, user: str | None) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    _give(path, user)


def _give(path: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def _expect_answer(stack: Stack) -> None:
    """A database that a setting names must be there: nobody here can start it."""
    try:
        psycopg.connect(stack.database_url, connect_timeout=5).close()
    except psycopg.Error as problem:
        raise StackError(f"RECADO_DATABASE_URL: {problem}") from None


def _answers(stack: Stack) -> bool:
    try:
        with psycopg.connect(stack.database_url, dbname="postgres", connect_timeout=2) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError as problem:
        if "password authentication failed" in str(problem):
            raise StackError(
                f"postgres: the password in {stack.secret_path(NAME)} is not the one of its data; "
                "type `make clean` to begin anew"
            ) from None
        return False
    return True


def _create_database_once(stack: Stack) -> None:
    with psycopg.connect(stack.database_url, dbname="postgres", autocommit=True) as connection:
        known = connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
