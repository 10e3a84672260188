"""Truths by brute force: windows by sets, verbs pair by pair, gradients by differences, even draws, checksums."""

import itertools
import json
import zlib
from fractions import Fraction

import numpy as np
from scipy.special import kolmogorov

# Windows by set arithmetic: in = stride * out + dilation * tap - origin


def taps(size):
    """List the positions inside a window, the last axis fastest."""
    return list(itertools.product(*(range(f) for f in size)))


def window_pairs(sites, size, stride, dilation, origin, *, keeps_sites=False, size_out=None):
    """Find the output sites (sorted) of a window and its pairs {(k, in site, out site)}."""
    active = {tuple(int(v) for v in site) for site in sites}
    pairs = set()
    for batch, *place in active:
        for k, tap in enumerate(taps(size)):
            steps = [x - g * t + o for x, g, t, o in zip(place, dilation, tap, origin, strict=True)]
            if any(v % s for v, s in zip(steps, stride, strict=True)):
                continue
            out = tuple(v // s for v, s in zip(steps, stride, strict=True))
            if size_out is not None and not all(0 <= v < n for v, n in zip(out, size_out, strict=True)):
                continue
            if not keeps_sites or (batch, *out) in active:
                pairs.add((k, (batch, *place), (batch, *out)))
    outs = active if keeps_sites else {out for _, _, out in pairs}
    return sorted(outs), pairs


def shape_taps(shape, size, simplex=False):
    """List the taps of a shape of that size an axis, by its definition."""
    tests = {
        "full": lambda t: not simplex or sum(t) < size[0],
        "cross": lambda t: sum(x != f // 2 for x, f in zip(t, size, strict=True)) <= 1,
        "ball": lambda t: sum(Fraction(2 * x - f + 1, f) ** 2 for x, f in zip(t, size, strict=True)) <= 1,
        # The lattice vectors of length 1, or 0: their squared length is the sum of all products, each pair once.
        "nearest": lambda t: sum((a - 1) * (b - 1) for i, a in enumerate(t) for b in t[i:]) <= 1,
    }
    return [t for t in taps(size) if tests[shape](t)]


def rule_pairs(sites, taps, stride, dilation, origin, kind, middle=None, inside=None, targets=None, min_active=1):
    """Find the output sites (sorted) of any rule and its pairs {(k, site in, site out)}.

    Args:
        sites: active sites, batch index first.
        taps: in the order of the weights.
        kind: "valid", "submanifold", "cell", "centre", "transposed", or "given" and "given transposed" with targets.
        middle: the tap that is the centre.
        inside: function of a place that tells whether an output may lie there.
        targets: output sites that are given.
        min_active: fewest pairs of a valid output.
    """
    active = {tuple(int(v) for v in site) for site in sites}
    backwards = kind in ("transposed", "given transposed")

    def through(place, tap):
        pads = zip(place, stride, dilation, tap, origin, strict=True)
        if backwards:
            return tuple(s * x + g * t - o for x, s, g, t, o in pads)
        steps = [(x - g * t + o, s) for x, s, g, t, o in pads]
        return None if any(v % s for v, s in steps) else tuple(v // s for v, s in steps)

    reached = [(k, site, (site[0], *out)) for site in active for k, tap in enumerate(taps)
               if (out := through(site[1:], tap)) is not None]
    if kind == "submanifold":
        outs = active
    elif kind.startswith("given"):
        outs = {tuple(int(v) for v in site) for site in targets}
    elif kind == "cell":
        outs = {(b, *(x // s for x, s in zip(place, stride, strict=True))) for b, *place in active}
    elif kind == "centre":
        outs = {out for k, _, out in reached if taps[k] == middle}
    else:
        outs = {out for _, _, out in reached}
    if inside is not None:
        outs = {out for out in outs if inside(out[1:])}
    if min_active > 1:
        outs = {out for out in outs if sum(o == out for _, _, o in reached) >= min_active}
    return sorted(outs), {(k, site, out) for k, site, out in reached if out in outs}


def circle(diameter, field):
    """List the sites (n, 2) that the circle in the middle of a field touches; points with whole coordinates exact."""
    angle = (np.arange(100_000) + 0.5) * 2 * np.pi / 100_000
    curve = np.floor(field / 2 + diameter / 2 * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.int64)
    curve = curve[np.append(True, (curve[1:] != curve[:-1]).any(1))]  # hundreds of points lie in each site, in turn
    if field % 2:
        return np.unique(curve, axis=0)
    reach = np.arange(-diameter // 2, diameter // 2 + 1)
    whole = np.argwhere(np.add.outer(reach**2, reach**2) == (diameter // 2) ** 2) + reach[0] + field // 2
    return np.unique(np.concatenate([curve, whole]), axis=0)


# The verbs, pair by pair


def pairs_of(in_rows, out_rows, offset_ptr):
    """Spell a rulebook out: (k, input row, output row), offset by offset."""
    return [
        (k, int(in_rows[p]), int(out_rows[p]))
        for k in range(len(offset_ptr) - 1)
        for p in range(int(offset_ptr[k]), int(offset_ptr[k + 1]))
    ]


def ungrouped(w):
    """Turn weights (k, g, c/g, o/g) into (k, c, o) with blocks on the diagonal; three axes stay as they are."""
    if w.ndim == 3:
        return w
    k, g, c, o = w.shape
    full = np.zeros((k, g * c, g * o), w.dtype)
    for i in range(g):
        full[:, i * c : (i + 1) * c, i * o : (i + 1) * o] = w[:, i]
    return full


def grouped(w, groups):
    """Take the blocks on the diagonal of (k, c, o) as (k, g, c/g, o/g); one group stays as it is."""
    if groups == 1:
        return w
    c, o = w.shape[1] // groups, w.shape[2] // groups
    return np.stack([w[:, i * c : (i + 1) * c, i * o : (i + 1) * o] for i in range(groups)], 1)


def conv(x, w, pairs, m, bias=None, slope=None):
    """Ops.conv, one pair at a time."""
    w = ungrouped(w)
    y = np.zeros((m, w.shape[2])) + (0 if bias is None else bias)
    for k, i, j in pairs:
        y[j] += x[i] @ w[k]
    return y if slope is None else np.where(y >= 0, y, slope * y)


def conv_dw(x, dy, pairs, k, groups=1):
    """Ops.conv_dw, one pair at a time."""
    dw = np.zeros((k, x.shape[1], dy.shape[1]))
    for offset, i, j in pairs:
        dw[offset] += np.outer(x[i], dy[j])
    return grouped(dw, groups)


def max_pool(x, pairs, m, volume, ground=None):
    """Ops.max_pool: the first greatest row in offset order, a NaN above all; the ground where a window is not full."""
    fan_in = np.bincount([j for _, _, j in pairs], minlength=m)[:m]
    volume = np.broadcast_to(volume, (m,))
    y, winner = np.zeros((m, x.shape[1])), np.full((m, x.shape[1]), -1)
    for j, channel in itertools.product(range(m), range(x.shape[1])):
        entries = [(x[i, channel], i) for _, i, out in pairs if out == j]
        if ground is not None and fan_in[j] < volume[j]:
            entries.append((ground[0, channel], -1))
        best = None
        for value, row in entries:
            if best is None or value > best[0] or (np.isnan(value) and not np.isnan(best[0])):
                best = (value, row)
        if best is not None:
            y[j, channel], winner[j, channel] = best
        elif ground is not None:
            y[j, channel] = ground[0, channel]
    return y, winner


def segment_max(x, starts):
    """Ops.segment_max: greatest row of each segment, the first of equals, a NaN above all; empty segments 0 and -1."""
    whole = [(0, i, j) for j in range(len(starts) - 1) for i in range(int(starts[j]), int(starts[j + 1]))]
    return max_pool(x, whole, len(starts) - 1, 0)


def slope_by_differences(function, array, direction, step=1e-6):
    """Differentiate a scalar function of one array along a direction by central differences."""
    return (function(array + step * direction) - function(array - step * direction)) / (2 * step)


def is_uniform(values, bound):
    """Tell whether values may be drawn evenly from -bound to bound: by the test of Kolmogorov and Smirnov, at 0.001."""
    shares, steps = np.sort(values) / (2 * bound) + 0.5, np.arange(len(values) + 1) / len(values)
    apart = max((steps[1:] - shares).max(), (shares - steps[:-1]).max())
    return abs(values).max() <= bound and kolmogorov(np.sqrt(len(values)) * apart) > 1e-3


def checksum_of(entries, arrays):
    """The checksum of a network's file: CRC-32 of names, text, shapes, dtypes and numbers."""
    shapes = [(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays)]
    crc = zlib.crc32(json.dumps([sorted(entries.items()), shapes]).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(arrays[name].tobytes(), crc)
    return format(crc, "08x")
