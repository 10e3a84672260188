"""Work beside the computation on a GPU: a stream of its own, and the events that keep the two in order."""

from spconv_cy.once import once


class CopyStream:
    """Prepares what the computation will read, on another thread and another stream.

    CuPy sends every numpy array through pinned memory, on the stream that is current in the thread, and does not wait
    for it; what is missing is the order between the streams, which is here.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy):
        self._cuda, self._streams = cupy.cuda, {}

    def here(self):
        """Return the device and the stream on which this thread computes."""
        return self._cuda.Device(), self._cuda.get_current_stream()

    def _stream(self):
        return self._cuda.Stream(non_blocking=True)

    def run(self, computes, make, *arguments):
        """Return make(*arguments), whose copies and kernels are on the stream of copies, and an event for `wait`.

        Args:
            computes: `here()` of the thread that computes.
            make: function; what it makes is read after `wait` alone.
            arguments: of make.
        """
        device, computing = computes
        with device:
            stream = once(self._streams, device.id, self._stream)
            allocated = self._cuda.get_allocator()

            def allocate(size):
                # Freed memory is given anew while kernels that read it may still stand in the queue.
                memory = allocated(size)
                stream.wait_event(computing.record())
                return memory

            stream.wait_event(computing.record())                        # which made what `make` may read
            with stream, self._cuda.using_allocator(allocate):
                made = make(*arguments)
                return made, stream.record()

    def wait(self, event):
        """Let all that this thread's stream is told from now on begin after the event; the thread does not wait."""
        self._cuda.get_current_stream().wait_event(event)
