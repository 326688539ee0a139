"""`python -m services.sender`: commands → WhatsApp. Nothing but the start lives here."""

from services.runtime.lifecycle import run_room
from services.sender.wiring import ROOM, run

if __name__ == "__main__":
    run_room(ROOM, run)
