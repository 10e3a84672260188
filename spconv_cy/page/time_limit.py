"""A limit on the time that a connection may take: for a request, and to read the answer. Needs waitress."""

import math
import time
from contextlib import suppress
from socket import SHUT_RDWR

from waitress.channel import HTTPChannel


def limit_time(server, seconds):
    """Let a waitress server close every connection that takes longer than so many seconds for its part.

    The seconds run from the connection's beginning, or from the last answer, until a whole request has come, however
    often a part of it comes; and from the answer's end until the client has read it.

    Args:
        server: of waitress.server.create_server, for one address, not yet running.
        seconds: above 0; what is over time is closed within the server's `cleanup_interval` and
            `asyncore_loop_timeout`.
    """
    class Channel(HTTPChannel):
        def __init__(self, *arguments, **options):
            self.due = time.monotonic() + seconds
            super().__init__(*arguments, **options)

        def service(self):
            self.due = math.inf                                          # how long an answer is in the making is ours
            super().service()
            self.due = time.monotonic() + seconds

        def write_soon(self, data):
            self.due = time.monotonic() + seconds
            return super().write_soon(data)

    def close_late(now):
        for channel in list(server.active_channels.values()):
            waits_for_us = channel.requests and not channel.total_outbufs_len
            if not waits_for_us and time.monotonic() > channel.due:
                channel.will_close = True
                with suppress(OSError):                                  # the client has gone
                    channel.socket.shutdown(SHUT_RDWR)                   # ready to be closed, though nobody reads

    server.channel_class, server.maintenance = Channel, close_late
