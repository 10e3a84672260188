"""Memory that is kept for later arrays, and how to return it to the system."""

from spconv_cy.backend import switch


def release_memory() -> None:
    """Return memory that is kept for later arrays to the system, and a GPU's to its driver.

    The cpu backend keeps up to 16 MB and a quarter of the memory that its arrays use; during a loop, as much as the
    arrays of one pass take. After the loop it is returned when an array is made five seconds or more later, at a full
    garbage collection (`gc.collect()`), or by this function.

    >>> release_memory()
    """
    try:
        from spconv_cy.compiled import memory
    except ImportError:                                                  # without the compiled core nothing is kept
        memory = None                                                    # type: ignore[assignment]
    if memory is not None:
        memory.release()
    cuda = switch.loaded("cuda")
    if cuda is not None:
        cuda.xp.get_default_memory_pool().free_all_blocks()
