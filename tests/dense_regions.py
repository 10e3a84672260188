"""Dense counterparts of pools with drawn regions, of random strides, and of sums and averages over active sites."""

import copy
from functools import reduce

import dense_net as dense
import numpy as np
from oracles import taps

import spconv_cy as sp
from spconv_cy.sites import fractional


def cut(values, low, high):
    """Cut (b, c, *size) into (taps, b, c, *out) by each sample's bounds, and say which taps lie in their regions."""
    span = [int((b - a).max()) for a, b in zip(low, high, strict=True)]
    out = [a.shape[1] for a in low]
    pieces = np.zeros((len(taps(span)), *values.shape[:2], *out))
    inside = np.zeros((len(pieces), len(values), 1, *out), bool)
    for k, b, places, there in places_of(low, high, span):
        pieces[k, b] = values[b][(slice(None), *np.ix_(*places))]
        inside[k, b, 0] = there
    return pieces, inside


def paste(pieces, low, high, size):
    """Sum (taps, b, c, *out) back to (b, c, *size)."""
    span = [int((b - a).max()) for a, b in zip(low, high, strict=True)]
    values = np.zeros((*pieces.shape[1:3], *size))
    for k, b, places, there in places_of(low, high, span):
        np.add.at(values[b], (slice(None), *np.ix_(*places)), np.where(there, pieces[k, b], 0))
    return values


def places_of(low, high, span):
    """List (tap, sample, input places an axis, which of their products lie in their regions)."""
    for k, tap in enumerate(taps(span)):
        for b in range(len(low[0])):
            places = [a[b] + t for a, t in zip(low, tap, strict=True)]
            there = [p < e[b] for p, e in zip(places, high, strict=True)]
            yield (
                k,
                b,
                [np.minimum(p, e[b] - 1) for p, e in zip(places, high, strict=True)],
                reduce(np.logical_and.outer, there),
            )


class Drawn:
    """A layer whose bounds `draw(samples, size)` gives, the same ones at each forward."""

    def __init__(self, draw):
        self.draw, self.gradients = draw, {}

    def begin(self, field, mask):
        self.size, regions = field.shape[2:], self.draw(len(field), field.shape[2:])
        self.bounds = [a.astype(int) for a in regions.low], [a.astype(int) for a in regions.high]
        pieces, inside = cut(field, *self.bounds)
        active = cut(mask[:, None].astype(float), *self.bounds)[0].astype(bool) & inside
        return pieces, inside, active


class MaxPooling(Drawn):
    """The greatest site of each region; zero: of its active sites and 0; without a ground state of active sites."""

    def __init__(self, draw, zero):
        super().__init__(draw)
        self.zero = zero

    def forward(self, field, mask, ground):
        pieces, inside, active = self.begin(field, mask)
        d, c, self.zeros = mask.ndim - 1, field.shape[1], ground is None or self.zero
        counted = active if self.zeros else inside
        values = np.where(counted, pieces, -np.inf)
        if self.zero:
            values = np.concatenate([values, np.zeros_like(values[:1])])
        out = active.any(0)
        self.winner, self.out = values.argmax(0), out
        rivals = np.where(active, pieces, -np.inf)
        open_places = (inside & ~active).any(0)
        last = np.where(open_places, dense.over(ground, c, d), -np.inf) if not self.zeros else np.zeros_like(pieces[0])
        rivals = np.concatenate([rivals, last[None]]) if not self.zeros or self.zero else rivals
        self.margin = dense.least_gap(np.where(out, rivals, 0), 0)
        y = values.max(0)
        if ground is None:
            y = np.where(out, y, 0)
        elif self.zero:
            ground = np.maximum(ground, 0)
            y = np.where(out, y, dense.over(ground, c, d))
        return y, out[:, 0], ground

    def backward(self, dy, dground):
        dy = np.where(self.out, dy, 0) if self.zeros else dy
        count = int(np.prod([(b - a).max() for a, b in zip(*self.bounds, strict=True)]))
        pieces = np.stack([np.where(self.winner == k, dy, 0) for k in range(count)])
        return paste(pieces, *self.bounds, self.size), dground


class Convolution(dense.Convolution):
    """Dense convolution whose windows lie where they were drawn."""

    def __init__(self, weight, bias, size, groups, draw):
        super().__init__(weight, bias, size, groups=groups)
        self.drawn = Drawn(draw)

    def cut(self, field, mask, ground):
        pieces, _, active = self.drawn.begin(field, mask)
        return list(pieces), list(active[:, :, 0])

    def paste(self, pieces):
        return paste(np.stack(pieces), *self.drawn.bounds, self.drawn.size), 0


class SumPooling(dense.AveragePooling):
    """Dense sum over the window."""

    def forward(self, field, mask, ground):
        y, mask, ground = super().forward(field, mask, ground)
        self.volume = len(self.slices)
        return y * self.volume, mask, None if ground is None else ground * self.volume

    def backward(self, dy, dground):
        return super().backward(dy * self.volume, dground * self.volume)


class ActivePooling(dense.Windowed):
    """Dense average over the active sites of each window; the ground state where there is none."""

    def forward(self, field, mask, ground):
        fields, masks = self.cut(field, mask, ground)
        self.share = np.stack(masks)[:, :, None] / np.maximum(np.sum(masks, 0), 1)[:, None]
        self.out, c = np.any(masks, axis=0)[:, None], field.shape[1]
        y = (np.stack(fields) * self.share).sum(0)
        return np.where(self.out, y, dense.over(ground, c, mask.ndim - 1)), self.out[:, 0], ground

    def backward(self, dy, dground):
        dground = dground + dense.total(np.where(self.out, 0, dy))
        dfield, outside = self.paste(list(np.where(self.out, dy, 0) * self.share))
        return dfield, outside + dground


def mirror(layer, weights):
    """Build the dense counterpart of a layer of ours with such regions or pools; None: it has none here."""
    if isinstance(layer, sp.layers.SumPooling):
        return SumPooling(layer.window.size, layer.window.stride, low=layer.window.origin)
    if isinstance(layer, sp.AveragePooling) and layer.over == "active":
        return ActivePooling(layer.window.size, layer.window.stride, low=layer.window.origin)
    state = copy.deepcopy(getattr(layer, "rng", None))
    if isinstance(layer, sp.FractionalMaxPooling):

        def draw(samples, size):
            return fractional.draw(
                copy.deepcopy(state),
                layer.lattice,
                samples,
                size,
                layer.out_size(size),
                layer.sequence,
                layer.overlap,
            )

        return MaxPooling(draw, layer.background == "zero")

    def walk(samples, size):
        window = layer.window
        return fractional.draw_steps(
            copy.deepcopy(state),
            window.lattice,
            samples,
            size,
            window.out_size(size),
            window.size,
            window.stride,
        )

    if isinstance(layer, sp.layers.RandomizedStrideMaxPooling):
        return MaxPooling(walk, layer.background == "zero")
    if isinstance(layer, sp.layers.RandomizedStrideConvolution):
        return Convolution(*weights, layer.window.size, layer.groups, walk)
    return None
