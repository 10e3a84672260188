# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Handwriting on the grid: normalise, move, resample at even spacing, and collect weights by site."""

from cython.parallel cimport prange
from libc.math cimport M_PI_4, atan2, fabs, fmax, fmin, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libcpp.algorithm cimport sort


cdef struct Frame:                      # the way of one stroke from the pen's coordinates into the field
    double x, y                         # middle of the character's box
    double scale, extent
    double xx, xy, yx, yy               # row vectors: p @ [[xx, xy], [yx, yy]]
    double right, down


cdef struct Trace:                      # runs: the sites in the order of time, each visit one run
    uint64_t* keys                      # site << 32 | run; NULL: only count
    double* weights
    int64_t n_runs
    int64_t site
    int64_t size
    int planes


cdef void count_runs(const Ink* ink, int64_t* runs, int64_t* outside, double* reach, int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        outside[i] = count_outside(ink, i, reach + i)
        runs[i] = 0 if outside[i] else trace_character(ink, i, NULL, NULL)


cdef void fill_runs(const Ink* ink, const int64_t* run_starts, uint64_t* keys, double* weights,
                    int64_t* n_sites, int n_threads) noexcept nogil:
    cdef int64_t i, start
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        start = run_starts[i]
        trace_character(ink, i, keys + start, weights + start * ink.planes)
        # The run number inside the key makes every key different: one order, whatever the sort does with ties.
        sort(keys + start, keys + run_starts[i + 1])
        n_sites[i] = count_sites(keys + start, run_starts[i + 1] - start)


cdef void merge_runs(const Ink* ink, const int64_t* run_starts, const uint64_t* keys, const double* weights,
                     const int64_t* site_starts, int32_t* sites, float* features, int n_threads) noexcept nogil:
    cdef int64_t i, start
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        start = run_starts[i]
        merge_character(keys + start, weights + start * ink.planes, run_starts[i + 1] - start, ink.planes, ink.size,
                        <int32_t>i, sites + 3 * site_starts[i], features + ink.planes * site_starts[i])


cdef inline int64_t count_sites(const uint64_t* keys, int64_t n) noexcept nogil:
    cdef int64_t r, found = 0
    for r in range(n):
        found += r == 0 or keys[r] >> 32 != keys[r - 1] >> 32
    return found


cdef void merge_character(const uint64_t* keys, const double* weights, int64_t n, int planes, int64_t size,
                          int32_t sample, int32_t* sites, float* features) noexcept nogil:
    cdef double[8] total
    cdef const double* weight
    cdef int64_t r = 0, site
    cdef int k
    while r < n:
        site = <int64_t>(keys[r] >> 32)
        for k in range(planes):
            total[k] = 0
        while r < n and <int64_t>(keys[r] >> 32) == site:
            weight = weights + planes * <int64_t>(keys[r] & 0xffffffffu)
            for k in range(planes):
                total[k] += weight[k]
            r += 1
        for k in range(planes):
            features[k] = <float>total[k]
        sites[0], sites[1], sites[2] = sample, <int32_t>(site // size), <int32_t>(site % size)
        sites += 3
        features += planes


cdef int64_t count_outside(const Ink* ink, int64_t i, double* reach) noexcept nogil:
    cdef Frame frame = frame_of(ink, i)
    cdef int64_t s, j, c = ink.items[i], found = 0
    cdef double x, y, middle = 0.5 * <double>ink.size
    reach[0] = 0
    for s in range(ink.character_starts[c], ink.character_starts[c + 1]):
        move_frame(ink, i, s, &frame)
        for j in range(ink.stroke_starts[s], ink.stroke_starts[s + 1]):
            place(&frame, ink.points + 2 * j, &x, &y)
            found += not (0 <= x < <double>ink.size and 0 <= y < <double>ink.size)
            reach[0] = fmax(reach[0], 2 * fmax(fabs(x - middle), fabs(y - middle)))
    return found


cdef int64_t trace_character(const Ink* ink, int64_t i, uint64_t* keys, double* weights) noexcept nogil:
    # Returns the number of runs. All pen points lie in the field, so all between them do.
    cdef Frame frame = frame_of(ink, i)
    cdef Trace trace = Trace(keys, weights, 0, -1, ink.size, ink.planes)
    cdef int64_t s, c = ink.items[i]
    for s in range(ink.character_starts[c], ink.character_starts[c + 1]):
        move_frame(ink, i, s, &frame)
        trace_stroke(ink.points + 2 * ink.stroke_starts[s], ink.stroke_starts[s + 1] - ink.stroke_starts[s],
                     &frame, ink.spacing, &trace)
    return trace.n_runs


cdef Frame frame_of(const Ink* ink, int64_t i) noexcept nogil:
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
    # Multiply, then divide: the edges of the box land exactly on half the scale.
    cdef double u = (p[0] - frame.x) * frame.scale / frame.extent
    cdef double v = (p[1] - frame.y) * frame.scale / frame.extent
    x[0] = u * frame.xx + v * frame.yx + frame.right
    y[0] = u * frame.xy + v * frame.yy + frame.down


cdef void trace_stroke(const double* p, int64_t m, const Frame* frame, double spacing, Trace* trace) noexcept nogil:
    cdef double x0, y0, x1, y1, dx, dy, length = 0, passed = 0, part, step, at, x, y, last_x, last_y
    cdef double octant = -1             # of the segment; -1: not yet asked for
    cdef int64_t i, j, steps
    cdef bint turned
    place(frame, p, &x0, &y0)
    last_x, last_y = x0, y0
    for j in range(1, m):
        place(frame, p + 2 * j, &x1, &y1)
        length += sqrt((x1 - last_x) * (x1 - last_x) + (y1 - last_y) * (y1 - last_y))
        last_x, last_y = x1, y1
    steps = <int64_t>(length / spacing + 0.5)
    if steps == 0 or trace.planes == 1:
        enter(trace, x0, y0)
        mark_dot(trace)
    if steps == 0:
        return
    step = length / <double>steps
    x1, y1, dx, dy, part, j = x0, y0, 0, 0, 0, 0
    last_x, last_y = x0, y0
    for i in range(1, steps + 1):
        at, turned = <double>i * step, False
        while j < m - 1 and (j == 0 or i == steps or at > passed + part):
            x0, y0, passed = x1, y1, passed + part
            j += 1
            place(frame, p + 2 * j, &x1, &y1)
            dx, dy = x1 - x0, y1 - y0
            part = sqrt(dx * dx + dy * dy)
            turned, octant = i > 1 or j > 1, -1
        x, y = x1, y1
        if i < steps and part > 0:
            at = (at - passed) / part
            at = at if at < 1 else 1
            x, y = x0 + at * dx, y0 + at * dy
        if trace.planes == 1:
            enter(trace, x, y)
            mark_dot(trace)
        else:
            enter(trace, 0.5 * (last_x + x), 0.5 * (last_y + y))
            if trace.weights:
                if turned:
                    mark_step(trace, x - last_x, y - last_y, octant_of(x - last_x, y - last_y, trace.planes))
                else:
                    if octant < 0:
                        octant = octant_of(dx, dy, trace.planes)
                    mark_step(trace, dx, dy, octant)
        last_x, last_y = x, y


cdef inline void enter(Trace* trace, double x, double y) noexcept nogil:
    # Rounding may carry a point between two others onto the field's far edge, hence the subtractions.
    cdef int64_t column = <int64_t>x, row = <int64_t>y, site
    cdef int k
    column -= column == trace.size
    row -= row == trace.size
    site = column * trace.size + row
    if site == trace.site:
        return
    if trace.keys:
        trace.keys[trace.n_runs] = (<uint64_t>site) << 32 | <uint64_t>trace.n_runs
        for k in range(trace.planes):
            trace.weights[trace.n_runs * trace.planes + k] = 0
    trace.site = site
    trace.n_runs += 1


cdef inline void mark_dot(Trace* trace) noexcept nogil:
    cdef int k
    if trace.weights:
        for k in range(trace.planes):
            trace.weights[(trace.n_runs - 1) * trace.planes + k] += 1.0 / trace.planes


cdef inline double octant_of(double dx, double dy, int planes) noexcept nogil:
    # In [0, planes): how many eighths of a turn from the x axis towards y; undirected steps forget half turns.
    cdef double octant = atan2(dy, dx) / M_PI_4
    while octant < 0:
        octant += planes
    while octant >= planes:
        octant -= planes
    return octant


cdef inline void mark_step(Trace* trace, double dx, double dy, double octant) noexcept nogil:
    cdef double* weight = trace.weights + (trace.n_runs - 1) * trace.planes
    cdef int k = <int>octant
    if dx == 0 and dy == 0:             # there and back again about a sharp corner: no direction
        mark_dot(trace)
        return
    weight[k] += 1 - (octant - k)
    weight[0 if k + 1 == trace.planes else k + 1] += octant - k
