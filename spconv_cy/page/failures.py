"""Errors that waitress answers itself, such as a body that is too long or a damaged header, in JSON. Needs waitress."""

from __future__ import annotations

import json

from waitress.task import ErrorTask

from spconv_cy.errors import expected
from spconv_cy.page.request import TOO_LONG

TOO_LARGE = 413


class Failure(ErrorTask):  # type: ignore[misc]
    """The answer {"error": text} to a request that cannot be read; the connection is closed then."""

    def execute(self) -> None:
        """Write the answer."""
        error = self.request.error
        text = TOO_LONG if error.code == TOO_LARGE else expected("page", "a request in HTTP", f"{error.body!s:.100}")
        body = json.dumps({"error": text}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json; charset=utf-8"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
