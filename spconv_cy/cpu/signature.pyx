"""Path signatures and their logarithms, of whole paths and in a window along the strokes of characters.

Tensors of the levels 0 to m lie end to end, words in lexicographic order: the word i j k of d letters stands at
(i d + j) d + k in its level. docs/handwriting.md has the formulas.
"""

from cython.parallel cimport prange, threadid
from libc.math cimport fmin, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset
from libcpp.algorithm cimport sort

from spconv_cy.cpu.frame cimport Frame, Ink, frame_of, length_of, move_frame, place
from spconv_cy.cpu.strokes cimport count_outside


cdef struct Visits:
    uint64_t* keys                      # NULL: only count
    int64_t* coarse_of
    double* places
    int64_t n_visits, n_coarse
    int64_t site, first_coarse, size
    int64_t finer                       # drawing points for each coarse point


cdef void sign_paths(const Words* words, const double* points, const int64_t* path_starts, int64_t n_paths,
                     double* out, int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(n_paths, schedule="dynamic", chunksize=4, num_threads=n_threads):
        sign_path(words, points + words.letters * path_starts[i], path_starts[i + 1] - path_starts[i],
                  out + words.planes * i, words.room + threadid() * WORDS_ROOM)


cdef void sign_path(const Words* words, const double* p, int64_t n, double* out, double* tensor) noexcept nogil:
    # tensor: the WORDS_ROOM of this thread; its second half is for intermediate results.
    cdef double[6] step
    cdef int64_t i
    cdef int a, d = words.letters
    memset(tensor, 0, <size_t>words.total * sizeof(double))
    tensor[0] = 1
    for i in range(1, n):
        for a in range(d):
            step[a] = p[d * i + a] - p[d * (i - 1) + a]
        times_segment(words, tensor, step, tensor + WORDS_ROOM // 2)
    write_words(words, tensor, out, tensor + WORDS_ROOM // 2)


cdef void times_segment(const Words* words, double* tensor, const double* step, double* product) noexcept nogil:
    # Chen's identity with exp(step): S_k += ((..(step / k + S_1) step / (k - 1) + ..) + S_{k-1}) step, innermost first;
    # from the highest level down, so that all levels that are read are still those before the step.
    cdef double[6] part
    cdef int64_t j, n
    cdef int k, i, a, d = words.letters
    cdef double head
    for k in range(words.level, 0, -1):
        product[0] = 1
        n = 1
        for i in range(k):
            for a in range(d):
                part[a] = step[a] / (k - i)
            for j in range(n - 1, -1, -1):      # in place: d j >= j
                head = product[j] if i == 0 else product[j] + tensor[words.starts[i] + j]
                for a in range(d):
                    product[d * j + a] = head * part[a]
            n *= d
        for j in range(n):
            tensor[words.starts[k] + j] += product[j]


cdef void write_words(const Words* words, const double* tensor, double* out, double* logarithm) noexcept nogil:
    cdef int64_t w
    if not words.picked:
        for w in range(words.total):
            out[w] = tensor[w]
        return
    take_logarithm(words, tensor, logarithm)
    for w in range(words.planes):
        out[w] = logarithm[words.picked[w]]


cdef void take_logarithm(const Words* words, const double* x, double* t) noexcept nogil:
    # log(1 + x) = x (1 - x (1/2 - x (1/3 - x / 4))), cut off above the level; x is the tensor less its level 0.
    cdef int n
    memset(t, 0, <size_t>words.total * sizeof(double))
    t[0] = 1.0 / words.level
    for n in range(words.level - 1, -1, -1):
        times_tensor(words, x, t, -1 if n else 1)
        t[0] = 1.0 / n if n else 0


cdef void times_tensor(const Words* words, const double* x, double* t, double sign) noexcept nogil:
    # t becomes sign * x t without level 0; from the highest level down, for level k reads only levels below it.
    cdef int64_t i, j, n, m
    cdef int k, a
    cdef double* row
    cdef const double* right
    cdef double left
    for k in range(words.level, 0, -1):
        memset(t + words.starts[k], 0, <size_t>(words.starts[k + 1] - words.starts[k]) * sizeof(double))
        for a in range(1, k + 1):
            n = words.starts[a + 1] - words.starts[a]
            m = words.starts[k - a + 1] - words.starts[k - a]
            right = t + words.starts[k - a]
            for i in range(n):
                left = sign * x[words.starts[a] + i]
                row = t + words.starts[k] + i * m
                for j in range(m):
                    row[j] += left * right[j]


cdef void count_visits(const Ink* ink, int64_t* visits, int64_t* coarse, int64_t* outside, double* reach,
                       int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        outside[i] = count_outside(ink, i, reach + i)
        if not outside[i]:
            visit_character(ink, i, 0, NULL, NULL, NULL, visits + i, coarse + i)


cdef void fill_visits(const Ink* ink, const int64_t* visit_starts, const int64_t* coarse_starts, uint64_t* keys,
                      int64_t* coarse_of, double* places, int64_t* n_sites, int n_threads) noexcept nogil:
    cdef int64_t i, start, r
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        start = visit_starts[i]
        visit_character(ink, i, coarse_starts[i], keys + start, coarse_of + start, places + 4 * coarse_starts[i],
                        NULL, NULL)
        sort(keys + start, keys + visit_starts[i + 1])
        for r in range(start, visit_starts[i + 1]):
            n_sites[i] += r == start or keys[r] >> 32 != keys[r - 1] >> 32


cdef void sign_coarse(const Words* words, const double* places, int64_t n_coarse, double* table,
                      int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(n_coarse, schedule="static", num_threads=n_threads):
        sign_window(words, places, i, table + words.planes * i, words.room + threadid() * WORDS_ROOM)


cdef void sign_window(const Words* words, const double* places, int64_t i, double* out,
                      double* tensor) noexcept nogil:
    cdef double[27] path                # at most 9 points of 3 letters
    cdef const double* at
    cdef int64_t n = 0, first = i - <int64_t>places[4 * i + 2], end = i + <int64_t>places[4 * i + 3], j
    cdef int timed = words.letters - 2
    for j in range(first, end + 1):
        at = places + 4 * j
        if timed:
            path[3 * n] = <double>n
        path[words.letters * n + timed], path[words.letters * n + timed + 1] = at[0], at[1]
        n += 1
    sign_path(words, path, n, out, tensor)


cdef void write_first_visits(const Ink* ink, const int64_t* visit_starts, const uint64_t* keys,
                             const int64_t* coarse_of, const double* table, int64_t planes,
                             const int64_t* site_starts, int32_t* sites, float* features,
                             int n_threads) noexcept nogil:
    cdef int64_t i
    for i in prange(ink.n, schedule="dynamic", chunksize=4, num_threads=n_threads):
        write_character(keys + visit_starts[i], coarse_of + visit_starts[i], visit_starts[i + 1] - visit_starts[i],
                        table, planes, ink.size, <int32_t>i, sites + 3 * site_starts[i],
                        features + planes * site_starts[i])


cdef void write_character(const uint64_t* keys, const int64_t* coarse_of, int64_t n, const double* table,
                          int64_t planes, int64_t size, int32_t sample, int32_t* sites,
                          float* features) noexcept nogil:
    cdef const double* row
    cdef int64_t r, k, site, last = -1
    for r in range(n):                  # of one site, the first visit has the smallest key
        site = <int64_t>(keys[r] >> 32)
        if site == last:
            continue
        last = site
        row = table + planes * coarse_of[keys[r] & 0xffffffffu]
        for k in range(planes):
            features[k] = <float>row[k]
        sites[0], sites[1], sites[2] = sample, <int32_t>(site // size), <int32_t>(site % size)
        sites += 3
        features += planes


cdef void visit_character(const Ink* ink, int64_t i, int64_t first_coarse, uint64_t* keys, int64_t* coarse_of,
                          double* places, int64_t* n_visits, int64_t* n_coarse) noexcept nogil:
    cdef Frame frame = frame_of(ink, i)
    cdef int64_t finer = <int64_t>(2 * ink.spacing + 0.5)
    cdef Visits visits = Visits(keys, coarse_of, places, 0, 0, -1, first_coarse, ink.size, finer if finer > 1 else 1)
    cdef int64_t s, c = ink.items[i]
    for s in range(ink.character_starts[c], ink.character_starts[c + 1]):
        move_frame(ink, i, s, &frame)
        visit_stroke(ink.points + 2 * ink.stroke_starts[s], ink.stroke_starts[s + 1] - ink.stroke_starts[s],
                     &frame, ink.spacing, &visits)
    if n_visits:
        n_visits[0], n_coarse[0] = visits.n_visits, visits.n_coarse


cdef void visit_stroke(const double* p, int64_t m, const Frame* frame, double spacing, Visits* visits) noexcept nogil:
    # n coarse steps; finer drawing points to each; drawing point i belongs to the coarse point i // finer.
    cdef double x0, y0, x1, y1, x, y, length = length_of(frame, p, m), passed = 0, part = 0, at, step
    cdef int64_t n = <int64_t>(length / spacing + 0.5), i, j = 0, coarse, steps = n * visits.finer
    cdef double* row
    place(frame, p, &x1, &y1)
    x0, y0 = x1, y1
    step = length / <double>steps if steps else 0
    for i in range(steps + 1):
        at = <double>i * step
        while i > 0 and j < m - 1 and (j == 0 or i == steps or at > passed + part):
            x0, y0, passed = x1, y1, passed + part
            j += 1
            place(frame, p + 2 * j, &x1, &y1)
            part = sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))
        x, y = x1, y1
        if 0 < i < steps and part > 0:
            at = fmin((at - passed) / part, 1)
            x, y = x0 + at * (x1 - x0), y0 + at * (y1 - y0)
        coarse = i // visits.finer
        if visits.places and i % visits.finer == 0:
            row = visits.places + 4 * (visits.n_coarse + coarse)
            row[0], row[1] = x, y
            row[2], row[3] = <double>(coarse if coarse < 4 else 4), <double>(n - coarse if n - coarse < 4 else 4)
        enter(visits, x, y, coarse)
    visits.n_coarse += n + 1


cdef inline void enter(Visits* visits, double x, double y, int64_t coarse) noexcept nogil:
    # The subtractions are needed because rounding may move a point between two others onto the field's far edge.
    cdef int64_t column = <int64_t>x, row = <int64_t>y, site
    column -= column == visits.size
    row -= row == visits.size
    site = column * visits.size + row
    if site == visits.site:
        return
    if visits.keys:
        visits.keys[visits.n_visits] = (<uint64_t>site) << 32 | <uint64_t>visits.n_visits
        visits.coarse_of[visits.n_visits] = visits.first_coarse + visits.n_coarse + coarse
    visits.site = site
    visits.n_visits += 1
