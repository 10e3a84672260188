"""The map of a stroke from the pen's coordinates into the field; inline, since every pen point needs it."""

from libc.math cimport fmax, fmin, sqrt
from libc.stdint cimport int64_t


cdef struct Ink:                        # what a batch reads; all borrowed from the caller
    const double* points                # (p, 2)
    const int64_t* stroke_starts        # (strokes + 1,)
    const int64_t* character_starts     # (characters + 1,)
    const int64_t* items                # (n,) which characters
    const double* matrices              # (n, 2, 2) or NULL: none
    const double* shifts                # (n, 2) in scales, or NULL: none
    const double* stroke_shifts         # (strokes, 2) in scales, or NULL: none
    const double* time_shifts           # (n,) in scales, or NULL: none; where there is a time axis
    int64_t n
    int planes
    int64_t size
    int64_t slices                      # sites along the time axis; 1: there is none
    double scale                        # 0: the points are in sites from the middle of the field already
    double spacing
    double pace                         # sites along the time axis for each site of the pen's way


cdef struct Frame:
    double x, y                         # middle of the character's box
    double scale, extent
    double xx, xy, yx, yy               # row vectors: p @ [[xx, xy], [yx, yy]]
    double right, down


cdef inline Frame frame_of(const Ink* ink, int64_t i) noexcept nogil:
    cdef Frame frame = Frame(0, 0, 1, 1, 1, 0, 0, 1, 0, 0)
    cdef const double* a
    cdef const double* p
    cdef int64_t j, c = ink.items[i]
    cdef int64_t first = ink.stroke_starts[ink.character_starts[c]]
    cdef int64_t end = ink.stroke_starts[ink.character_starts[c + 1]]
    cdef double left, right, top, bottom
    if ink.matrices:
        a = ink.matrices + 4 * i
        frame.xx, frame.xy, frame.yx, frame.yy = a[0], a[1], a[2], a[3]
    if ink.scale > 0 and first < end:
        left = right = ink.points[2 * first]
        top = bottom = ink.points[2 * first + 1]
        for j in range(first + 1, end):
            p = ink.points + 2 * j
            left, right = fmin(left, p[0]), fmax(right, p[0])
            top, bottom = fmin(top, p[1]), fmax(bottom, p[1])
        frame.x, frame.y = 0.5 * (left + right), 0.5 * (top + bottom)
        frame.scale = ink.scale
        frame.extent = fmax(fmax(right - left, bottom - top), 1e-4)
    return frame


cdef inline void move_frame(const Ink* ink, int64_t i, int64_t stroke, Frame* frame) noexcept nogil:
    cdef double unit = ink.scale if ink.scale > 0 else 1
    cdef double x = 0, y = 0
    if ink.stroke_shifts:
        x, y = unit * ink.stroke_shifts[2 * stroke], unit * ink.stroke_shifts[2 * stroke + 1]
    frame.right = 0.5 * <double>ink.size + x * frame.xx + y * frame.yx
    frame.down = 0.5 * <double>ink.size + x * frame.xy + y * frame.yy
    if ink.shifts:
        frame.right += unit * ink.shifts[2 * i]
        frame.down += unit * ink.shifts[2 * i + 1]


cdef inline void place(const Frame* frame, const double* p, double* x, double* y) noexcept nogil:
    # Multiply, then divide: the edges of the box map exactly to half the scale.
    cdef double u = (p[0] - frame.x) * frame.scale / frame.extent
    cdef double v = (p[1] - frame.y) * frame.scale / frame.extent
    x[0] = u * frame.xx + v * frame.yx + frame.right
    y[0] = u * frame.xy + v * frame.yy + frame.down


cdef inline double length_of(const Frame* frame, const double* p, int64_t m) noexcept nogil:
    # The way of a stroke in the field.
    cdef double x, y, last_x, last_y, length = 0
    cdef int64_t j
    place(frame, p, &last_x, &last_y)
    for j in range(1, m):
        place(frame, p + 2 * j, &x, &y)
        length += sqrt((x - last_x) * (x - last_x) + (y - last_y) * (y - last_y))
        last_x, last_y = x, y
    return length
