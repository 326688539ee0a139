"""One page of a list: where it begins by the cursor, where the next one begins. Not here: the queries."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from services.ingress.answers import json_response
from services.ingress.cursors import Cursors, Place
from services.ingress.filters import Page

Row = dict[str, Any]


class Listing:
    """One list, page by page. It asks for a row more than it shows, to know whether there is a next page."""

    def __init__(self, cursors: Cursors, page: Page, *list_name: str) -> None:
        self._cursors = cursors
        self._bound = [*list_name, page.model_dump(exclude={"limit", "cursor"})]
        self._limit = page.limit
        self.after: Place | None = cursors.read(page.cursor, self._bound) if page.cursor else None
        self.limit = page.limit + 1

    def answer(self, rows: list[Row], order: str, view: Callable[[Row], Row]) -> Response:
        """Show the rows; `order` is the column that they are sorted by, before their id."""
        shown = rows[: self._limit]
        cursor = None
        if len(rows) > self._limit:
            cursor = self._cursors.write((shown[-1][order], shown[-1]["id"]), self._bound)
        return json_response({"data": [view(row) for row in shown], "next_cursor": cursor})
