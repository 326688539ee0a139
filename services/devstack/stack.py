"""What a local stack is: its settings, ports, folder and addresses. Nothing is started or stopped here."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.devstack.ports import Ports
from services.runtime.settings import Settings

CHECKOUT: Final = Path(__file__).resolve().parents[2]
HOST: Final = "127.0.0.1"
DATABASE: Final = "recado"
OWNER: Final = "postgres"


class StackError(Exception):
    """The stack cannot do what was asked; the message says what is missing and what to type."""


@dataclass(frozen=True)
class Stack:
    """One local stack; two of them live side by side with other port bases and state folders."""

    settings: Settings
    ports: Ports
    state_dir: Path

    @classmethod
    def of(cls, settings: Settings) -> "Stack":
        """A relative state folder is taken from the checkout, so that every command finds the same one.

        Files that stand in the default state folder move with it, so that two stacks share nothing.
        """
        state_dir = CHECKOUT / settings.state_dir
        default = Settings()
        moved: dict[str, str] = {"state_dir": str(state_dir)}
        if settings.policy_file == default.policy_file:
            moved["policy_file"] = str(state_dir / "policy.json")
        if settings.key_file == default.key_file:
            moved["key_file"] = str(state_dir / "kek")
        return cls(msgspec.structs.replace(settings, **moved), Ports(settings.port_base), state_dir)

    @property
    def kafka_bootstrap(self) -> str:
        return self.settings.kafka_bootstrap_servers or f"{HOST}:{self.ports.kafka}"

    @property
    def memcached_servers(self) -> str:
        """Where memcached is or would be; `memcached.address` says whether there is one."""
        return self.settings.memcached_servers or f"{HOST}:{self.ports.memcached}"

    @property
    def database_url(self) -> str:
        """The owner's URL: it may create roles and databases. Rooms get a login of their own."""
        own = f"postgresql://{OWNER}:{self.secret('postgres')}@{HOST}:{self.ports.postgres}/{DATABASE}"
        return self.settings.database_url or own

    @property
    def graph_url(self) -> str:
        return self.settings.graph_url or f"http://{HOST}:{self.ports.graph}"

    @property
    def orchestrator_url(self) -> str:
        return self.settings.orchestrator_url or f"http://{HOST}:{self.ports.orchestrator}"

    @property
    def ingress_url(self) -> str:
        return f"http://{HOST}:{self.ports.ingress}"

    @property
    def logs_dir(self) -> Path:
        return self._folder("logs")

    @property
    def run_dir(self) -> Path:
        return self._folder("run")

    @property
    def rooms_dir(self) -> Path:
        return self._folder("rooms")

    def outside_dir(self) -> Path:
        """For data of a user who cannot enter the state folder, as under a home that is closed to others."""
        mark = hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:12]
        folder = Path("/var/tmp") / f"recado-{mark}"  # noqa: S108 - refused below unless it is ours
        folder.mkdir(exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise StackError(f"{folder} belongs to somebody else: remove it, or choose another RECADO_STATE_DIR")
        return folder

    def secret(self, name: str) -> str:
        """A password of this stack, drawn at its first use and kept readable for its owner only."""
        path = self.secret_path(name)
        if not path.exists():
            fresh = path.with_suffix(f".{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(24))
            fresh.rename(path)
        return path.read_text()

    def secret_path(self, name: str) -> Path:
        return self._folder("secrets") / name

    def _folder(self, name: str) -> Path:
        folder = self.state_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
