"""Copies of weights whose axes lie in another order."""

from libc.stdint cimport int64_t

from spconv_cy.errors import ShapeError, expected

from spconv_cy.cpu.transposed cimport transpose


def copy_transposed(const float[:, :, :] x, float[:, :, ::1] y):
    """Copy float32 x (k, c, o), where the numbers of one output lie side by side, into y (k, c, o), C-contiguous.

    Return whether all numbers are finite. Other threads of Python run meanwhile.
    """
    cdef bint finite = True
    cdef Py_ssize_t tap, k = x.shape[0], c = x.shape[1], o = x.shape[2]
    cdef bint side_by_side = c < 2 or x.strides[1] == sizeof(float)
    cdef bint in_floats = o < 2 or x.strides[2] % <Py_ssize_t>sizeof(float) == 0
    if y.shape[0] != k or y.shape[1] != c or y.shape[2] != o or k * c * o and not (side_by_side and in_floats):
        raise ShapeError(expected("copy_transposed", "aligned weights of one shape, their inputs side by side",
                                  f"shapes {k, c, o} and {y.shape[0], y.shape[1], y.shape[2]}, strides "
                                  f"{x.strides[0], x.strides[1], x.strides[2]}"))
    if not (k and c and o):
        return True
    with nogil:
        for tap in range(k):
            finite &= transpose(&x[tap, 0, 0], x.strides[2] // <int64_t>sizeof(float), o, c, &y[tap, 0, 0])
    return finite
