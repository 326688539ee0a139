"""`python -m services.notifier`: announced events → the companies' endpoints. Nothing but the start lives here."""

from services.notifier.wiring import ROOM, run
from services.runtime.lifecycle import run_room

if __name__ == "__main__":
    run_room(ROOM, run)
