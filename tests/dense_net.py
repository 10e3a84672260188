"""Networks on dense arrays, forward and backward by hand, in numpy alone: what sparse networks have to equal.

A layer takes and gives (field (b, c, *size), mask (b, *size) of active sites, ground (c,) or None), keeps what its
backward needs, and leaves the gradients of its weights in `gradients`. What lies outside the field is the ground state.
"""

import numpy as np
from oracles import grouped, taps, ungrouped


def over_channels(mask):
    """Give a mask (b, *size) an axis of one channel."""
    return mask[:, None]


def total(values):
    """Sum (b, c, *size) to (c,)."""
    return values.sum(axis=(0, *range(2, values.ndim)))


class Windowed:
    """What convolution and pooling share: pad with the ground state, cut one slice an offset, mask of the outputs."""

    def __init__(self, size, stride=1, dilation=1, low=0, high=None, keeps_sites=False, chosen=None):
        self.window = size, stride, dilation, low, low if high is None else high
        self.keeps_sites, self.chosen, self.gradients = keeps_sites, chosen, {}

    def cut(self, field, mask, ground):
        """Return one (b, c, *out) array and one mask (b, *out) an offset."""
        d, c = mask.ndim - 1, field.shape[1]
        size, stride, dilation, self.low, high = ((v,) * d if isinstance(v, int) else v for v in self.window)
        self.shape, around = field.shape, list(zip(self.low, high, strict=True))
        padded = np.pad(field - over(ground, c, d), [(0, 0), (0, 0), *around]) + over(ground, c, d)
        self.padded_shape, active = padded.shape, np.pad(mask, [(0, 0), *around])
        spans = [g * (f - 1) + 1 for f, g in zip(size, dilation, strict=True)]
        steps = [(n - span) // s + 1 for n, span, s in zip(active.shape[1:], spans, stride, strict=True)]
        self.slices = [
            tuple(
                slice(g * t, g * t + s * (n - 1) + 1, s)
                for g, t, s, n in zip(dilation, tap, stride, steps, strict=True)
            )
            for tap in self.chosen or taps(size)
        ]
        return [padded[(..., *s)] for s in self.slices], [active[(..., *s)] for s in self.slices]

    def paste(self, pieces):
        """Sum the gradients of cut's arrays to those of the field and of the ground state outside it."""
        dpadded = np.zeros(self.padded_shape)
        for s, piece in zip(self.slices, pieces, strict=True):
            dpadded[(..., *s)] += piece
        dfield = dpadded[(..., *(slice(low, low + n) for low, n in zip(self.low, self.shape[2:], strict=True)))]
        return dfield, total(dpadded) - total(dfield)


def over(ground, c, d):
    """Lay a ground row (zeros for None) along the channels of a dense array."""
    return (np.zeros(c) if ground is None else ground).reshape(1, -1, *[1] * d)


class Convolution(Windowed):
    """Dense convolution; keeps_sites: outputs off the input's sites are the ground state by definition."""

    def __init__(self, weight, bias, size, *, groups=1, **window):
        super().__init__(size, **window)
        self.weight, self.bias, self.groups = ungrouped(np.asarray(weight, float)), bias, groups

    def forward(self, field, mask, ground):
        self.fields, masks = self.cut(field, mask, ground)
        self.ground = ground
        self.mask = mask if self.keeps_sites else np.any(masks, axis=0)
        bias = np.zeros(self.weight.shape[2]) if self.bias is None else np.ravel(self.bias)
        y = sum(np.einsum("bc...,co->bo...", x, w) for x, w in zip(self.fields, self.weight, strict=True))
        y = y + over(bias, len(bias), mask.ndim - 1)
        new = None if ground is None else ground @ self.weight.sum(axis=0) + bias
        if ground is None or self.keeps_sites:
            y = np.where(over_channels(self.mask), y, over(new, len(bias), mask.ndim - 1))
        return y, self.mask, new

    def backward(self, dy, dground):
        if self.ground is None or self.keeps_sites:
            dground = dground + total(np.where(over_channels(self.mask), 0, dy))
            dy = np.where(over_channels(self.mask), dy, 0)
        if self.ground is None:
            dground = np.zeros_like(dground)
        flat = dy.reshape(*dy.shape[:2], -1)
        dw = np.stack([np.einsum("bcx,box->co", x.reshape(*x.shape[:2], -1), flat) for x in self.fields])
        if self.ground is not None:
            dw += np.outer(self.ground, dground)
        self.gradients["weight"] = grouped(dw, self.groups)
        if self.bias is not None:
            self.gradients["bias"] = (total(dy) + dground)[None]
        dfield, outside = self.paste([np.einsum("bo...,co->bc...", dy, w) for w in self.weight])
        return dfield, outside + self.weight.sum(axis=0) @ dground


class MaxPooling(Windowed):
    """Dense max-pooling; ground None: active sites only, and with zero=True also 0."""

    def __init__(self, size, stride, low=0, zero=False, **window):
        super().__init__(size, stride, low=low, **window)
        self.zero, self.margin = zero, np.inf

    def forward(self, field, mask, ground):
        fields, masks = self.cut(field, mask, ground)
        self.mask, self.none = np.any(masks, axis=0), ground is None
        values, active = np.stack(fields), np.stack(masks)[:, :, None]
        if self.none:
            values = np.where(active, values, -np.inf)
        if self.zero:
            values = np.concatenate([values, np.zeros_like(values[:1])])
            active = np.concatenate([active, np.ones_like(active[:1])])
        self.winner = values.argmax(axis=0)
        # Inactive places of one window are one source: only the first of them can be a rival.
        rivals = np.where(active | (np.cumsum(~active, axis=0) == 1) & (not self.none), values, -np.inf)
        self.margin = least_gap(np.where(over_channels(self.mask), rivals, 0), 0)
        self.offsets = len(fields)
        y = np.take_along_axis(values, self.winner[None], axis=0)[0]
        return (np.where(over_channels(self.mask), y, 0) if self.none else y), self.mask, ground

    def backward(self, dy, dground):
        dy = np.where(over_channels(self.mask), dy, 0) if self.none else dy
        dfield, outside = self.paste([np.where(self.winner == k, dy, 0) for k in range(self.offsets)])
        return dfield, outside + dground


def least_gap(rivals, axis):
    """Find the least gap between the two greatest along an axis; -inf stands for none, equal zeros for no contest."""
    ordered = np.moveaxis(np.sort(rivals, axis), axis, 0)
    if len(ordered) < 2:
        return np.inf
    contest = np.isfinite(ordered[-2]) & (rivals != 0).any(axis)
    return np.min((ordered[-1] - np.where(contest, ordered[-2], 0))[contest], initial=np.inf)


class AveragePooling(Windowed):
    """Dense average pooling: over the window's volume."""

    def forward(self, field, mask, ground):
        fields, masks = self.cut(field, mask, ground)
        return np.mean(fields, axis=0), np.any(masks, axis=0), ground

    def backward(self, dy, dground):
        dfield, outside = self.paste([dy / len(self.slices)] * len(self.slices))
        return dfield, outside + dground


class LeakyReLU:
    """x where x >= 0, else slope * x."""

    def __init__(self, slope):
        self.slope, self.gradients = slope, {}

    def forward(self, field, mask, ground):
        self.steps = np.where(field >= 0, 1, self.slope)
        self.ground_steps = 1 if ground is None else np.where(ground >= 0, 1, self.slope)
        seen = field if ground is not None else np.where(over_channels(mask), field, np.inf)
        self.margin = np.min(np.abs(seen), initial=np.inf)
        return field * self.steps, mask, None if ground is None else ground * self.ground_steps

    def backward(self, dy, dground):
        return dy * self.steps, dground * self.ground_steps


class BatchNormalization:
    """Mean and variance over active sites; the same affine map for them and for the ground state."""

    def __init__(self, weight, bias, eps):
        self.weight, self.bias, self.eps, self.gradients = np.ravel(weight), np.ravel(bias), eps, {}

    def forward(self, field, mask, ground):
        rows = np.moveaxis(field, 1, -1)[mask]
        self.mask, self.none, d, c = mask, ground is None, mask.ndim - 1, field.shape[1]
        self.mean, self.rate = rows.mean(axis=0), 1 / np.sqrt(rows.var(axis=0) + self.eps)
        self.normal = (field - over(self.mean, c, d)) * over(self.rate, c, d)
        y = self.normal * over(self.weight, c, d) + over(self.bias, c, d)
        if self.none:
            return np.where(over_channels(mask), y, 0), mask, None
        self.ground_normal = (ground - self.mean) * self.rate
        return y, mask, self.ground_normal * self.weight + self.bias

    def backward(self, dy, dground):
        c, d, active = dy.shape[1], dy.ndim - 2, over_channels(self.mask)
        if self.none:
            dy, dground, self.ground_normal = np.where(active, dy, 0), np.zeros(c), np.zeros(c)
        self.gradients = {
            "weight": (total(dy * self.normal) + dground * self.ground_normal)[None],
            "bias": (total(dy) + dground)[None],
        }
        dnormal, dground_normal = dy * over(self.weight, c, d), dground * self.weight
        count = self.mask.sum()
        dmean = -self.rate * (total(dnormal) + dground_normal)
        # With r = (var + eps)^-1/2 and normal = (x - mean) r: dvar = sum(dnormal (x - mean)) * -r^3 / 2
        dvar = -0.5 * self.rate**2 * (total(dnormal * self.normal) + dground_normal * self.ground_normal)
        through = over(dmean, c, d) / count + over(dvar, c, d) * 2 * self.normal / over(self.rate, c, d) / count
        return dnormal * over(self.rate, c, d) + np.where(active, through, 0), dground_normal * self.rate


class Sequential:
    """Layers one after another; keeps every layer's output in `outputs`."""

    def __init__(self, *layers):
        self.layers, self.gradients = layers, {}

    def forward(self, *state):
        self.outputs = []
        for layer in self.layers:
            state = layer.forward(*state)
            self.outputs.append(state)
        return state

    def backward(self, *gradient):
        for layer in reversed(self.layers):
            gradient = layer.backward(*gradient)
        return gradient

    @property
    def margin(self):
        return min((getattr(layer, "margin", np.inf) for layer in self.layers), default=np.inf)


class Branches:
    """Branches over one input that keep its sites: their sum, or their channels side by side."""

    def __init__(self, *branches, joined):
        self.branches, self.joined, self.gradients = branches, joined, {}

    def forward(self, *state):
        outputs = [branch.forward(*state) for branch in self.branches]
        fields, masks, grounds = zip(*outputs, strict=True)
        self.widths = np.cumsum([field.shape[1] for field in fields])[:-1]
        if not self.joined:
            return sum(fields), masks[0], None if grounds[0] is None else sum(grounds)
        return np.concatenate(fields, 1), masks[0], None if grounds[0] is None else np.concatenate(grounds)

    def backward(self, dy, dground):
        n = len(self.branches)
        dys = np.split(dy, self.widths, axis=1) if self.joined else [dy] * n
        dgrounds = np.split(dground, self.widths) if self.joined else [dground] * n
        parts = [b.backward(*part) for b, *part in zip(self.branches, dys, dgrounds, strict=True)]
        return tuple(sum(sides) for sides in zip(*parts, strict=True))

    @property
    def margin(self):
        return min(branch.margin for branch in self.branches)


class GlobalPooling:
    """Average, sum or maximum of each sample over its active sites or over the whole field: (b, c)."""

    def __init__(self, kind, over_field):
        self.kind, self.over_field, self.gradients, self.margin = kind, over_field, {}, np.inf

    def forward(self, field, mask, ground):
        b, c = field.shape[:2]
        active = mask.reshape(b, 1, -1)
        counted = np.ones_like(active) if self.over_field else active
        self.shape, self.none, self.counts = field.shape, ground is None, counted.sum(axis=2)
        values = field.reshape(b, c, -1)
        if self.kind == "max":
            ranked = np.where(counted, values, -np.inf)
            self.share = (np.arange(values.shape[2]) == ranked.argmax(axis=2)[..., None]) & counted
            # All inactive places are one source: only the first of them can be a rival.
            rivals = np.where(active | (np.cumsum(~active, axis=2) == 1) & counted, values, -np.inf)
            self.margin = least_gap(np.where(self.counts[..., None] > 0, rivals, 0), 2)
        elif self.kind == "sum":
            self.share = np.broadcast_to(counted, values.shape)
        else:
            self.share = np.broadcast_to(counted / np.maximum(self.counts[..., None], 1), values.shape)
        y = (values * self.share).sum(axis=2)
        return np.where(self.counts > 0, y, 0 if self.none else ground), None, None

    def backward(self, dy, dground):
        dfield = dy[..., None] * self.share
        dground = np.where(self.counts > 0, 0, dy).sum(axis=0) * (not self.none)
        return dfield.reshape(self.shape), dground


class MaskedCorners:
    """A layer on the simplex lattice: of the cube around its output, places with sum(x) >= n hold the ground state."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, *state):
        field, mask, ground = self.layer.forward(*state)
        self.held = in_simplex(mask.shape[1:])
        corner = over(ground, field.shape[1], mask.ndim - 1)
        return np.where(self.held, field, corner), mask & self.held, ground

    def backward(self, dy, dground):
        return self.layer.backward(np.where(self.held, dy, 0), dground + total(np.where(self.held, 0, dy)))

    @property
    def margin(self):
        return getattr(self.layer, "margin", np.inf)


def in_simplex(size):
    """Tell which places of a cube are sites of the simplex lattice."""
    return np.indices(size).sum(axis=0) < size[0]


class Linear:
    """Rows (b, c) by a matrix, plus a bias."""

    def __init__(self, weight, bias):
        self.weight, self.bias, self.gradients = weight[0], bias, {}

    def forward(self, rows, mask, ground):
        self.rows = rows
        return rows @ self.weight + self.bias, mask, ground

    def backward(self, dy, dground):
        self.gradients = {"weight": (self.rows.T @ dy)[None], "bias": dy.sum(axis=0)[None]}
        return dy @ self.weight.T, dground


def leaves(layer):
    """List the layers that are no containers, in order."""
    layer = getattr(layer, "layer", layer)
    inner = getattr(layer, "layers", getattr(layer, "branches", None))
    return [layer] if inner is None else [leaf for part in inner for leaf in leaves(part)]
