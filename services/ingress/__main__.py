"""`python -m services.ingress`: the HTTP edge. Nothing but the start lives here."""

from services.ingress.wiring import ROOM, run
from services.runtime.lifecycle import run_room

if __name__ == "__main__":
    run_room(ROOM, run)
