"""Copies to a GPU during the computation: a second stream, and the events that keep the two in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spconv_cy.once import once


class CopyStream:
    """Runs functions that prepare the next computation, on another thread and another stream.

    CuPy copies every numpy array through pinned memory, on the current stream of the thread, without waiting. This
    class adds the order between the streams.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy: Any) -> None:
        self._cuda = cupy.cuda
        self._streams: dict[int, Any] = {}

    def here(self) -> tuple[Any, Any]:
        """Return the device and the stream on which this thread computes."""
        return self._cuda.Device(), self._cuda.get_current_stream()

    def _stream(self) -> Any:
        return self._cuda.Stream(non_blocking=True)

    def run(self, computes: tuple[Any, Any], make: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
        """Return make(*arguments), which runs on the stream of copies, and an event for `wait`.

        Args:
            computes: `here()` of the thread that computes.
            make: function; its result may be read only after `wait`.
            arguments: of make.
        """
        device, computing = computes
        with device:
            stream = once(self._streams, device.id, self._stream)
            allocated = self._cuda.get_allocator()

            def allocate(size: int) -> Any:
                # Freed memory may be allocated again while queued kernels still read it.
                memory = allocated(size)
                stream.wait_event(computing.record())
                return memory

            stream.wait_event(computing.record())                        # the computation made what `make` may read
            with stream, self._cuda.using_allocator(allocate):
                made = make(*arguments)
                return made, stream.record()

    def wait(self, event: Any) -> None:
        """Make later work on this thread's stream wait for the event; the thread itself does not wait."""
        self._cuda.get_current_stream().wait_event(event)
