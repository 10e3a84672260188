"""Connections: a limit on the time to send a request and to read the answer, and an end that does not lose the answer.

A connection that is closed while its client still sends is reset, and the client never sees the answer. So after the
last answer the server ends its own direction only, and reads and drops what the client sends, up to a limit.

Needs waitress.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

MOST_DROPPED = 2**26                                # bytes that are read after the last answer; more end it


class Lingering(HTTPChannel):  # type: ignore[misc]
    """A connection that ends its own direction after the last answer, and then waits for the client to close."""

    lingers, dropped = False, 0
    close_when_flushed: bool                                             # of HTTPChannel, which has no types

    def readable(self) -> bool:
        """Tell whether what the client sends is to be read."""
        return bool(self.lingers and not self.will_close or super().readable())

    def handle_read(self) -> None:
        """Read a part of a request, or drop what comes after the last answer."""
        if not self.lingers:
            super().handle_read()
            return
        try:
            self.dropped += len(self.recv(self.adj.recv_bytes))          # at the end of the stream it closes itself
        except OSError:
            self.will_close = True
        self.will_close = self.will_close or self.dropped > MOST_DROPPED

    def handle_write(self) -> None:
        """Send a part of an answer; after the last one end this direction."""
        if self.will_close or not self.close_when_flushed:
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if not self.total_outbufs_len and not self.will_close:
            self.close_when_flushed, self.lingers = False, True
            with suppress(OSError):                                      # the client has closed it
                self.socket.shutdown(SHUT_WR)


def limit_time(server: BaseWSGIServer, seconds: float) -> None:
    """Make a waitress server close every connection whose client takes more than so many seconds.

    A request must be complete within this time after the connection opened or the last answer ended, no matter how
    often a part of it arrives. The client must read an answer within this time after it ended.

    Args:
        server: of waitress.server.create_server, for one address, not yet running.
        seconds: above 0. A connection is closed at most the server's `cleanup_interval` and `asyncore_loop_timeout`
            later.
    """
    class Channel(Lingering):
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
