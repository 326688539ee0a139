"""`python -m services.ingress`: the HTTP edge; `drain DIR` empties a spool. Nothing but the start lives here."""

import sys

from services.runtime.lifecycle import run_room

if __name__ == "__main__":
    if sys.argv[1:2] == ["drain"]:
        from services.ingress.drain import main  # needs nothing of HTTP

        sys.exit(main(sys.argv[2:]))
    from services.ingress.wiring import ROOM, run

    run_room(ROOM, run)
