"""The sites that a window reaches, as sorted packed keys."""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from spconv_cy.cpu.order cimport Box, lower_bound


# ---- a cube, axis by axis

cdef int64_t growth(const Axis* axis) noexcept nogil:
    # Returns the most outputs that one site reaches along the axis: the number of taps that agree modulo the stride.
    cdef int64_t a = axis.dilation, b = axis.stride
    while b:
        a, b = b, a % b
    return (axis.size + axis.stride // a - 1) // (axis.stride // a)


cdef int64_t cut(const int64_t* keys, int64_t n, int64_t line, int64_t* pieces) noexcept nogil:
    # Cuts sorted keys into pieces of about PIECE keys where keys // line changes, so that the outputs of successive
    # pieces ascend. pieces: room for n // PIECE + 2 borders. Returns the number of pieces.
    cdef int64_t count = 0, at = 0
    pieces[0] = 0
    while at < n:
        at += PIECE
        if at < n:
            at += lower_bound(keys + at, n - at, (keys[at - 1] // line + 1) * line)
        else:
            at = n
        count += 1
        pieces[count] = at
    return count


cdef void widen(const int64_t* keys, const int64_t* pieces, int64_t n_pieces, const Axis* axis, int64_t* mapped,
                int64_t* spare, int64_t* found, int64_t* counts, int n_threads) noexcept nogil:
    # Replaces the axis' input digit by every output digit whose window holds it. mapped: room for all keys; spare and
    # found: `growth` times that. The outputs of a piece are counts[piece] from growth * pieces[piece] of found on.
    cdef int64_t piece, room = growth(axis)
    for piece in prange(n_pieces, schedule="dynamic", num_threads=n_threads):
        counts[piece] = widen_piece(keys + pieces[piece], pieces[piece + 1] - pieces[piece], axis,
                                    mapped + pieces[piece], spare + room * pieces[piece], found + room * pieces[piece])


cdef int64_t widen_piece(const int64_t* keys, int64_t n, const Axis* axis, int64_t* mapped, int64_t* spare,
                         int64_t* found) noexcept nogil:
    cdef int64_t tap, count, total
    cdef int64_t* united = found
    cdef int64_t* other = spare
    if axis.step == 1 and axis.size == axis.stride and axis.dilation == 1:
        return map_cells(keys, n, axis, found)
    if axis.step == 1 and axis.stride == 1 and axis.dilation == 1:
        return map_runs(keys, n, axis, found)
    total = map_tap(keys, n, axis, 0, found)
    for tap in range(1, axis.size):
        count = map_tap(keys, n, axis, tap, mapped)
        if count:
            total = unite(united, total, mapped, count, other)
            united, other = other, united
    if united != found:
        memcpy(found, united, <size_t>total * sizeof(int64_t))
    return total


cdef int64_t map_cells(const int64_t* keys, int64_t n, const Axis* axis, int64_t* found) noexcept nogil:
    # On the last axis, windows that touch without overlap: each key has one output, and outputs ascend.
    cdef int64_t i = 0, digit, out, line = 0, line_end = 0, cell_end = 0, count = 0
    cdef int64_t shift = axis.low + axis.origin
    for i in range(n):
        if keys[i] >= cell_end:
            if keys[i] >= line_end:
                line = keys[i] - keys[i] % axis.side
                line_end = line + axis.side
            digit = keys[i] - line + shift
            out = digit // axis.stride
            out -= out * axis.stride > digit                             # rounds towards minus infinity
            cell_end = min(line_end, line + (out + 1) * axis.stride - shift)
            if axis.out_low <= out <= axis.out_high:
                found[count] = line + out - axis.out_low
                count += 1
    return count


cdef int64_t map_runs(const int64_t* keys, int64_t n, const Axis* axis, int64_t* found) noexcept nogil:
    # On the last axis, stride 1: the outputs of a key are a run that ends at its own digit, and overlaps that of the
    # key before it or comes after.
    cdef int64_t i = 0, out, last, line = 0, line_end = 0, after = 0, count = 0
    cdef int64_t shift = axis.low + axis.origin
    for i in range(n):
        if keys[i] >= line_end:
            line = keys[i] - keys[i] % axis.side
            line_end = line + axis.side
            after = axis.out_low
        last = keys[i] - line + shift
        out = max(after, last - axis.size + 1)
        last = min(last, axis.out_high)
        while out <= last:
            found[count] = line + out - axis.out_low
            count += 1
            out += 1
        after = max(after, out)
    return count


cdef int64_t map_tap(const int64_t* keys, int64_t n, const Axis* axis, int64_t tap, int64_t* mapped) noexcept nogil:
    # Writes the output keys at which this tap sees the keys, in the same order. Keys that share the digit have the
    # same output digit, so it is computed once for a block of them.
    cdef int64_t i, room, out, count = 0, line = 0, line_end = 0, block_end = 0, digit, change = 0
    cdef int64_t shift = axis.low + axis.origin - axis.dilation * tap
    cdef bint reaches = False
    for i in range(n):
        if keys[i] >= block_end:
            if keys[i] >= line_end:
                line = keys[i] - keys[i] % (axis.side * axis.step)
                line_end = line + axis.side * axis.step
            digit = keys[i] - line
            if axis.step > 1:
                digit //= axis.step
            block_end = line + (digit + 1) * axis.step
            room = digit + shift
            out = room
            reaches = True
            if axis.stride > 1:
                out = room // axis.stride
                reaches = out * axis.stride == room
            reaches = reaches and axis.out_low <= out <= axis.out_high
            if reaches:
                change = (out - axis.out_low - digit) * axis.step
        mapped[count] = keys[i] + change
        count += reaches
    return count


cdef int64_t unite(const int64_t* a, int64_t n, const int64_t* b, int64_t m, int64_t* united) noexcept nogil:
    # Merges two ascending streams, without a branch on which of them comes next.
    cdef int64_t i = 0, j = 0, count = 0, x, y
    while i < n and j < m:
        x, y = a[i], b[j]
        united[count] = min(x, y)
        count += 1
        i += x <= y
        j += y <= x
    memcpy(united + count, a + i, <size_t>(n - i) * sizeof(int64_t))
    count += n - i
    memcpy(united + count, b + j, <size_t>(m - j) * sizeof(int64_t))
    return count + m - j


cdef void join(const int64_t* found, const int64_t* starts, int64_t n_pieces, const int64_t* counts, int64_t* keys,
               int n_threads) noexcept nogil:
    # Joins the outputs of the pieces, which begin at `starts`; counts[piece] is the number of outputs before it.
    cdef int64_t piece
    for piece in prange(n_pieces, schedule="dynamic", num_threads=n_threads):
        memcpy(keys + counts[piece], found + starts[piece],
               <size_t>(counts[piece + 1] - counts[piece]) * sizeof(int64_t))


# ---- any offsets: the union of streams of keys, each with a shift

cdef void classify(const int32_t* sites, int64_t n, const Box* box, const int32_t* stride, const int64_t* wanted,
                   int64_t n_wanted, int64_t* keys, int32_t* classes, int64_t* counts) noexcept nogil:
    # keys[i]: of the quotient site // stride, in their box. classes[i]: where the number of its remainders (digits of
    # the strides, the last axis fastest) stands among the ascending `wanted`, else n_wanted. counts (n_wanted + 1).
    cdef int64_t i, key, number, place
    cdef int32_t value, whole
    cdef int axis
    for i in range(n):
        key, number = (sites[i * box.width] - box.low[0]) * box.step[0], 0
        for axis in range(1, box.width):
            value = sites[i * box.width + axis]
            whole = value // stride[axis - 1]
            value -= whole * stride[axis - 1]
            if value < 0:
                value += stride[axis - 1]
                whole -= 1
            key += (whole - box.low[axis]) * box.step[axis]
            number = number * stride[axis - 1] + value
        place = lower_bound(wanted, n_wanted, number)
        if place < n_wanted and wanted[place] != number:
            place = n_wanted
        keys[i], classes[i] = key, <int32_t>place
        counts[place] += 1


cdef void deal(const int64_t* keys, const int32_t* classes, int64_t n, int64_t* places, int64_t* dealt) noexcept nogil:
    # Writes the keys of each class one after another, from places[class] on.
    cdef int64_t i
    for i in range(n):
        dealt[places[classes[i]]] = keys[i]
        places[classes[i]] += 1


cdef void cut_streams(const Streams* streams, int64_t n_pieces, int64_t* places, int64_t* starts,
                      int n_threads) noexcept nogil:
    # Cuts the union into pieces, equal shares of the longest stream. places (n_pieces + 1, n): where each piece begins
    # in each stream; starts (n_pieces + 1): how many keys of all streams lie before it.
    cdef int64_t piece, k, longest = 0
    for k in range(streams.n):
        if streams.counts[k] > streams.counts[longest]:
            longest = k
    for piece in prange(n_pieces + 1, schedule="static", num_threads=n_threads):
        starts[piece] = cut_piece(streams, longest, piece, n_pieces, places + piece * streams.n)


cdef int64_t cut_piece(const Streams* streams, int64_t longest, int64_t piece, int64_t n_pieces,
                       int64_t* places) noexcept nogil:
    cdef const int64_t* keys = streams.keys + streams.starts[longest]
    cdef int64_t k, border, total = 0
    for k in range(streams.n):
        if piece == 0:
            places[k] = 0
        elif piece == n_pieces:
            places[k] = streams.counts[k]
        else:
            border = keys[streams.counts[longest] * piece // n_pieces] + streams.shifts[longest]
            places[k] = lower_bound(streams.keys + streams.starts[k], streams.counts[k], border - streams.shifts[k])
        total += places[k]
    return total


cdef void unite_streams(const Streams* streams, int64_t n_pieces, const int64_t* places, const int64_t* starts,
                        int64_t most, int64_t* scratch, int64_t* found, int64_t* counts, int n_threads) noexcept nogil:
    # The union of piece p, counts[p] keys, from starts[p] of found on. scratch (n_threads, 2 * most + n), `most` the
    # keys of a piece in all streams.
    cdef int part
    for part in prange(n_threads, schedule="static", num_threads=n_threads):
        unite_part(streams, n_pieces, places, starts, most, scratch + part * (2 * most + streams.n), found, counts,
                   part, n_threads)


cdef void unite_part(const Streams* streams, int64_t n_pieces, const int64_t* places, const int64_t* starts,
                     int64_t most, int64_t* scratch, int64_t* found, int64_t* counts, int part,
                     int n_threads) noexcept nogil:
    cdef int64_t piece = part
    cdef const int64_t* united
    while piece < n_pieces:
        united = unite_piece(streams, places + piece * streams.n, places + (piece + 1) * streams.n, scratch,
                             scratch + most, scratch + 2 * most, &counts[piece])
        memcpy(found + starts[piece], united, <size_t>counts[piece] * sizeof(int64_t))
        piece += n_threads


cdef const int64_t* unite_piece(const Streams* streams, const int64_t* first, const int64_t* last, int64_t* one,
                                int64_t* other, int64_t* lengths, int64_t* count) noexcept nogil:
    # Merges neighbouring streams in pairs until one is left, since neighbouring offsets share most keys. Returns the
    # array of the result.
    cdef int64_t k, i, n, m, total = 0, at, segments = (streams.n + 1) // 2
    cdef const int64_t* a
    cdef const int64_t* b
    for i in range(segments):
        k = 2 * i
        a, n = streams.keys + streams.starts[k] + first[k], last[k] - first[k]
        if k + 1 < streams.n:
            b, m = streams.keys + streams.starts[k + 1] + first[k + 1], last[k + 1] - first[k + 1]
            lengths[i] = unite_shifted(a, n, streams.shifts[k], b, m, streams.shifts[k + 1], one + total)
        else:
            lengths[i] = unite_shifted(a, n, streams.shifts[k], a, 0, 0, one + total)
        total += lengths[i]
    while segments > 1:
        at = total = 0
        for i in range((segments + 1) // 2):
            n, m = lengths[2 * i], lengths[2 * i + 1] if 2 * i + 1 < segments else 0
            lengths[i] = unite(one + at, n, one + at + n, m, other + total)
            at += n + m
            total += lengths[i]
        segments = (segments + 1) // 2
        one, other = other, one
    count[0] = total
    return one


cdef int64_t unite_shifted(const int64_t* a, int64_t n, int64_t shift_a, const int64_t* b, int64_t m, int64_t shift_b,
                           int64_t* united) noexcept nogil:
    # Like unite, for keys to which a shift is added.
    cdef int64_t i = 0, j = 0, count = 0, x, y
    while i < n and j < m:
        x, y = a[i] + shift_a, b[j] + shift_b
        united[count] = min(x, y)
        count += 1
        i += x <= y
        j += y <= x
    for i in range(i, n):
        united[count] = a[i] + shift_a
        count += 1
    for j in range(j, m):
        united[count] = b[j] + shift_b
        count += 1
    return count
