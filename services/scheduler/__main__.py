"""`python -m services.scheduler`: gives back what waited. Nothing but the start lives here."""

from services.runtime.lifecycle import run_room
from services.scheduler.wiring import ROOM, run

if __name__ == "__main__":
    run_room(ROOM, run)
