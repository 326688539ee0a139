"""`python -m services.normaliser`: webhook items → tenant schemas. Nothing but the start lives here."""

from services.normaliser.wiring import ROOM, run
from services.runtime.lifecycle import run_room

if __name__ == "__main__":
    run_room(ROOM, run)
