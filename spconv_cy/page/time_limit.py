"""A limit on the time that a connection may take to send a request and to read the answer. Needs waitress."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer


def limit_time(server: BaseWSGIServer, seconds: float) -> None:
    """Make a waitress server close every connection whose client takes more than so many seconds.

    A request must be complete within this time after the connection opened or the last answer ended, no matter how
    often a part of it arrives. The client must read an answer within this time after it ended.

    Args:
        server: of waitress.server.create_server, for one address, not yet running.
        seconds: above 0. A connection is closed at most the server's `cleanup_interval` and `asyncore_loop_timeout`
            later.
    """
    class Channel(HTTPChannel):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.due = time.monotonic() + seconds
            super().__init__(*arguments, **options)

        def service(self) -> None:
            self.due = math.inf                                          # no limit while the server computes the answer
            super().service()
            self.due = time.monotonic() + seconds

        def write_soon(self, data: Any) -> Any:
            self.due = time.monotonic() + seconds
            return super().write_soon(data)

    def close_late(now: float) -> None:
        for channel in list(server.active_channels.values()):
            waits_for_answer = channel.requests and not channel.total_outbufs_len
            if not waits_for_answer and time.monotonic() > channel.due:
                channel.will_close = True
                with suppress(OSError):                                  # the client has closed it
                    channel.socket.shutdown(SHUT_RDWR)                   # closes it even if the client never reads

    server.channel_class, server.maintenance = Channel, close_late
