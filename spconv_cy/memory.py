"""Memory that is kept for the next arrays, given back."""

from spconv_cy.backend import switch


def release_memory():
    """Give memory that is kept for the next arrays back to the system, and a GPU's back to the driver.

    The CPU's backend keeps up to 16 MB and a quarter of what its arrays use; while a loop asks for the same arrays
    again and again, as much as these take. After the loop has ended, the rest goes back five seconds later at the next
    array, with a full garbage collection (`gc.collect()`), or here.

    >>> release_memory()
    """
    try:
        from spconv_cy.compiled import memory
    except ImportError:                                                  # without the compiled core nothing is kept
        memory = None
    if memory is not None:
        memory.release()
    cuda = switch.loaded("cuda")
    if cuda is not None:
        cuda.xp.get_default_memory_pool().free_all_blocks()
