"""Handwriting on the grid: normalise, move, resample at even spacing, and collect weights by site."""

from cython.parallel cimport prange
from libc.math cimport M_PI_4, atan2, fabs, fmax, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libcpp.algorithm cimport sort

from spconv_cy.cpu.frame cimport Frame, Ink, frame_of, length_of, move_frame, place


cdef struct Trace:                      # runs: the sites in the order of time, each visit one run
    uint64_t* keys                      # site << 32 | run; NULL: only count
    double* weights
    int64_t n_runs
    int64_t site
    const Ink* ink
    double began                        # where point 0 lies on the time axis
    int64_t clock                       # points of the strokes before this one


cdef void count_runs(const Ink* ink, int64_t* runs, int64_t* outside, double* reach, double* lasting,
                     int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        outside[i] = count_outside(ink, i, reach + i)
        lasting[i] = 0 if ink.slices == 1 or outside[i] else time_asked(ink, i)
        runs[i] = trace_character(ink, i, NULL, NULL) if not outside[i] and lasting[i] <= <double>ink.slices else 0


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
        merge_character(keys + start, weights + start * ink.planes, run_starts[i + 1] - start, ink,
                        <int32_t>i, sites + (3 + (ink.slices > 1)) * site_starts[i],
                        features + ink.planes * site_starts[i])


cdef inline int64_t count_sites(const uint64_t* keys, int64_t n) noexcept nogil:
    cdef int64_t r, found = 0
    for r in range(n):
        found += r == 0 or keys[r] >> 32 != keys[r - 1] >> 32
    return found


cdef void merge_character(const uint64_t* keys, const double* weights, int64_t n, const Ink* ink, int32_t sample,
                          int32_t* sites, float* features) noexcept nogil:
    cdef double[8] total
    cdef const double* weight
    cdef int64_t r = 0, site, size = ink.size
    cdef int k, planes = ink.planes
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
        sites[0] = sample
        if ink.slices > 1:
            sites[3] = <int32_t>(site % ink.slices)
            site = site // ink.slices
        sites[1], sites[2] = <int32_t>(site // size), <int32_t>(site % size)
        sites += 3 + (ink.slices > 1)
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
    cdef Trace trace = Trace(keys, weights, 0, -1, ink, 0, 0)
    cdef int64_t s, c = ink.items[i]
    if ink.slices > 1:
        trace.began = time_of_first(ink, i, count_points(ink, i))
    for s in range(ink.character_starts[c], ink.character_starts[c + 1]):
        move_frame(ink, i, s, &frame)
        trace_stroke(ink.points + 2 * ink.stroke_starts[s], ink.stroke_starts[s + 1] - ink.stroke_starts[s],
                     &frame, &trace)
    return trace.n_runs


cdef inline int64_t steps_of(double length, double spacing) noexcept nogil:
    return <int64_t>(length / spacing + 0.5)


cdef int64_t count_points(const Ink* ink, int64_t i) noexcept nogil:
    cdef Frame frame = frame_of(ink, i)
    cdef int64_t s, c = ink.items[i], found = 0
    for s in range(ink.character_starts[c], ink.character_starts[c + 1]):
        move_frame(ink, i, s, &frame)
        found += 1 + steps_of(length_of(&frame, ink.points + 2 * ink.stroke_starts[s],
                                        ink.stroke_starts[s + 1] - ink.stroke_starts[s]), ink.spacing)
    return found


cdef inline double time_of_first(const Ink* ink, int64_t i, int64_t n_points) noexcept nogil:
    cdef double shift = ink.time_shifts[i] if ink.time_shifts else 0
    return 0.5 * <double>ink.slices + (ink.scale if ink.scale > 0 else 1) * shift \
        - 0.5 * <double>n_points * ink.pace * ink.spacing


cdef double time_asked(const Ink* ink, int64_t i) noexcept nogil:
    # Returns the smallest number of slices that holds the character about their middle.
    cdef int64_t n_points = count_points(ink, i)
    cdef double middle = 0.5 * <double>ink.slices, first = time_of_first(ink, i, n_points)
    if n_points == 0:
        return 0
    return 2 * fmax(middle - first, first + <double>(n_points - 1) * ink.pace * ink.spacing - middle)


cdef void trace_stroke(const double* p, int64_t m, const Frame* frame, Trace* trace) noexcept nogil:
    cdef double x0, y0, x1, y1, dx, dy, passed = 0, part, step, at, x, y, last_x, last_y
    cdef double length = length_of(frame, p, m)
    cdef double octant = -1             # of the segment; -1: not computed yet
    cdef int64_t i, j, steps
    cdef bint turned
    cdef int planes = trace.ink.planes
    place(frame, p, &x0, &y0)
    steps = steps_of(length, trace.ink.spacing)
    trace.clock += steps + 1
    if steps == 0 or planes == 1:
        enter(trace, x0, y0, <double>(trace.clock - steps - 1))
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
        if planes == 1:
            enter(trace, x, y, <double>(trace.clock - steps - 1 + i))
            mark_dot(trace)
        else:
            enter(trace, 0.5 * (last_x + x), 0.5 * (last_y + y), <double>(trace.clock - steps - 1 + i) - 0.5)
            if trace.weights and planes == 3:
                mark_vector(trace, x - last_x, y - last_y)
            elif trace.weights:
                if turned:
                    mark_step(trace, x - last_x, y - last_y, octant_of(x - last_x, y - last_y, planes))
                else:
                    if octant < 0:
                        octant = octant_of(dx, dy, planes)
                    mark_step(trace, dx, dy, octant)
        last_x, last_y = x, y


cdef inline void enter(Trace* trace, double x, double y, double clock) noexcept nogil:
    # The subtractions are needed because rounding may move a point between two others onto the field's far edge.
    cdef const Ink* ink = trace.ink
    cdef int64_t column = <int64_t>x, row = <int64_t>y, slice, site
    cdef int k
    column -= column == ink.size
    row -= row == ink.size
    site = column * ink.size + row
    if ink.slices > 1:
        slice = <int64_t>(trace.began + clock * ink.pace * ink.spacing)
        site = site * ink.slices + slice - (slice == ink.slices)
    if site == trace.site:
        return
    if trace.keys:
        trace.keys[trace.n_runs] = (<uint64_t>site) << 32 | <uint64_t>trace.n_runs
        for k in range(ink.planes):
            trace.weights[trace.n_runs * ink.planes + k] = 0
    trace.site = site
    trace.n_runs += 1


cdef inline void mark_dot(Trace* trace) noexcept nogil:
    cdef double* weight
    cdef int k, planes = trace.ink.planes
    if trace.weights:
        weight = trace.weights + (trace.n_runs - 1) * planes
        if planes == 3:
            weight[0] += 1
            return
        for k in range(planes):
            weight[k] += 1.0 / planes


cdef inline void mark_vector(Trace* trace, double dx, double dy) noexcept nogil:
    cdef double* weight = trace.weights + (trace.n_runs - 1) * 3
    cdef double length = sqrt(dx * dx + dy * dy)
    weight[0] += 1
    if length > 0:
        weight[1] += dx / length
        weight[2] += dy / length


cdef inline double octant_of(double dx, double dy, int planes) noexcept nogil:
    # Returns eighths of a turn from the x axis towards y, in [0, planes); undirected steps ignore half turns.
    cdef double octant = atan2(dy, dx) / M_PI_4
    while octant < 0:
        octant += planes
    while octant >= planes:
        octant -= planes
    return octant


cdef inline void mark_step(Trace* trace, double dx, double dy, double octant) noexcept nogil:
    cdef int k = <int>octant, planes = trace.ink.planes
    cdef double* weight = trace.weights + (trace.n_runs - 1) * planes
    if dx == 0 and dy == 0:             # back at the same point around a sharp corner: no direction
        mark_dot(trace)
        return
    weight[k] += 1 - (octant - k)
    weight[0 if k + 1 == planes else k + 1] += octant - k
