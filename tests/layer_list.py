"""A case of the contract for every public layer: what makes the layer, and the inputs that it is tested with."""

from contract import sparse

import spconv_cy as sp

FAMILIES = ["drawn", "zero", None]
PLANE = {family: sparse(2, 4, 8, family) for family in FAMILIES}
THIN = {family: sparse(2, 2, 8, family) for family in FAMILIES}          # two channels: fewer weights to differentiate
SPACE = {family: sparse(3, 2, 5, family) for family in FAMILIES}
TRIANGLE = {family: sparse(2, 4, 9, family, sp.Lattice.simplex(2)) for family in FAMILIES}
SLIM = {family: sparse(2, 2, 9, family, sp.Lattice.simplex(2)) for family in FAMILIES}      # triangles
TETRAHEDRON = {family: sparse(3, 2, 7, family, sp.Lattice.simplex(3)) for family in FAMILIES}
ON_SITES = {  # what makes the layer; inputs
    "convolution": (lambda: sp.Convolution(2, 2, 3, 3, rng=0), THIN),
    "convolution, strided": (lambda: sp.Convolution(2, 2, 3, 2, (2, 3), padding=1, size_rule="floor", rng=0), THIN),
    "convolution, dilated, in groups": (lambda: sp.Convolution(2, 4, 6, (3, 2), dilation=2, groups=2, rng=0), PLANE),
    "convolution, 3-D": (lambda: sp.Convolution(3, 2, 3, 2, rng=0), SPACE),
    "submanifold": (lambda: sp.SubmanifoldConvolution(2, 2, 3, rng=0), THIN),
    "submanifold, even, in groups": (lambda: sp.SubmanifoldConvolution(2, 4, 2, 2, groups=2, rng=0), PLANE),
    "convolution, a cross": (lambda: sp.Convolution(2, 2, 3, 3, 2, shape="cross", padding=1, size_rule="floor"), THIN),
    "convolution, taps, in groups": (
        lambda: sp.Convolution(2, 4, 6, taps=[(0, 0), (2, 1), (0, 4)], groups=2, rng=0),
        PLANE,
    ),
    "convolution, a tap a channel": (lambda: sp.Convolution(2, 4, 4, 3, shape="ball", groups=4, rng=0), PLANE),
    "convolution at cells": (lambda: sp.Convolution(2, 2, 3, 3, 2, padding=1, sites="cell", rng=0), THIN),
    "convolution at centres": (lambda: sp.Convolution(2, 2, 3, 3, sites="centre", rng=0), THIN),
    "convolution, two sites at least": (lambda: sp.Convolution(2, 2, 3, 3, min_active=2, rng=0), THIN),
    "convolution, triangles": (lambda: sp.Convolution(sp.Lattice.simplex(2), 2, 3, 2, 2, padding=1, rng=0), SLIM),
    "convolution, tetrahedra": (lambda: sp.Convolution(sp.Lattice.simplex(3), 2, 3, 2, rng=0), TETRAHEDRON),
    "submanifold, nearest": (
        lambda: sp.SubmanifoldConvolution(sp.Lattice.simplex(2), 2, 3, shape="nearest", rng=0),
        SLIM,
    ),
    "submanifold, taps": (lambda: sp.SubmanifoldConvolution(2, 2, 3, taps=[(-3, 1), (0, 0), (0, 1)], rng=0), THIN),
    "transposed convolution": (lambda: sp.layers.TransposedConvolution(2, 2, 3, 2, 2, rng=0), {None: THIN[None]}),
    "transposed convolution, padded, in groups": (
        lambda: sp.layers.TransposedConvolution(2, 4, 6, 3, 2, padding=1, groups=2, bias=False, rng=0),
        {None: PLANE[None]},
    ),
    "transposed convolution, another field": (
        lambda: sp.layers.TransposedConvolution(2, 2, 3, 2, 2, dilation=2, padding=1, output_padding=1, rng=0,
                                                size_rule="undilated"),
        {None: THIN[None]},
    ),
    "transposed convolution, triangles": (
        lambda: sp.layers.TransposedConvolution(sp.Lattice.simplex(2), 2, 3, 3, 2, rng=0),
        {None: SLIM[None]},
    ),
    "max-pooling, triangles": (lambda: sp.MaxPooling(sp.Lattice.simplex(2), 3, 2), TRIANGLE),
    "max-pooling, a cross": (lambda: sp.MaxPooling(2, 3, 1, shape="cross", min_active=2), PLANE),
    "average pooling, tetrahedra": (lambda: sp.AveragePooling(sp.Lattice.simplex(3), 3, 2), TETRAHEDRON),
    "global average over a tetrahedron": (lambda: sp.GlobalPooling(over="field"), TETRAHEDRON),
    "to dense, triangles": (lambda: sp.SparseToDense(sp.Lattice.simplex(2)), TRIANGLE),
    "network in network": (lambda: sp.NetworkInNetwork(4, 3, rng=0), PLANE),
    "network in network, no bias": (lambda: sp.NetworkInNetwork(4, 3, bias=False, rng=0), PLANE),
    "max-pooling": (lambda: sp.MaxPooling(2, 2), PLANE),
    "max-pooling, overlapping": (lambda: sp.MaxPooling(2, 3, 2, padding=1, size_rule="floor"), PLANE),
    "max-pooling over zeros": (lambda: sp.MaxPooling(2, 2, background="zero"), PLANE),
    "max-pooling, dilated": (lambda: sp.MaxPooling(2, 3, 1, dilation=2, padding=1), PLANE),
    "max-pooling at cells": (lambda: sp.MaxPooling(2, 3, 2, padding=1, sites="cell"), PLANE),
    "average pooling at cells": (lambda: sp.AveragePooling(2, 2, 3, over="active", dilation=2, sites="cell"), PLANE),
    "sum pooling, dilated": (lambda: sp.layers.SumPooling(2, 2, dilation=(1, 3), size_rule="floor"), PLANE),
    "average pooling": (lambda: sp.AveragePooling(2, 2), PLANE),
    "average pooling, overlapping": (lambda: sp.AveragePooling(2, 4, 2, padding=1), PLANE),
    "average pooling, active sites alone": (lambda: sp.AveragePooling(2, 3, 1, over="active"), PLANE),
    "sum pooling": (lambda: sp.layers.SumPooling(2, 2), PLANE),
    "sum pooling, overlapping": (lambda: sp.layers.SumPooling(2, (3, 2), 1, padding=(1, 0)), PLANE),
    "random stride": (lambda: sp.layers.RandomizedStrideConvolution(2, 2, 3, 2, (2, 1), size_rule="floor", rng=0),
                      THIN),
    "random stride, in groups": (
        lambda: sp.layers.RandomizedStrideConvolution(2, 4, 2, 3, 2, groups=2, size_rule="floor", rng=0),
        PLANE,
    ),
    "max-pooling, random stride": (lambda: sp.layers.RandomizedStrideMaxPooling(2, 2, rng=0), PLANE),
    "global average": (lambda: sp.GlobalPooling(), PLANE),
    "global sum": (lambda: sp.GlobalPooling("sum"), PLANE),
    "global maximum": (lambda: sp.GlobalPooling("max"), PLANE),
    "global average over the field": (lambda: sp.GlobalPooling(over="field"), PLANE),
    "global sum over the field": (lambda: sp.GlobalPooling("sum", over="field"), PLANE),
    "global maximum over the field": (lambda: sp.GlobalPooling("max", over="field"), PLANE),
    "ReLU": (sp.ReLU, PLANE),
    "leaky ReLU": (lambda: sp.LeakyReLU(0.2), PLANE),
    "very leaky ReLU": (sp.VeryLeakyReLU, PLANE),
    "PReLU": (lambda: sp.layers.PReLU(4, slope=0.3), PLANE),
    "ELU": (lambda: sp.layers.ELU(0.7), PLANE),
    "SELU": (sp.layers.SELU, PLANE),
    "SiLU": (sp.layers.SiLU, PLANE),
    "GELU": (sp.layers.GELU, PLANE),
    "ReLU6": (sp.layers.ReLU6, PLANE),
    "hard swish": (sp.layers.HardSwish, PLANE),
    "hard sigmoid": (sp.layers.HardSigmoid, PLANE),
    "tanh": (sp.layers.Tanh, PLANE),
    "sigmoid": (sp.layers.Sigmoid, PLANE),
    "softmax": (sp.layers.Softmax, PLANE),
    "dropout": (lambda: sp.Dropout(0.5, rng=0), PLANE),
    "dropout, each channel by itself": (lambda: sp.Dropout(0.4, kind="bernoulli", inverted=True, rng=0), PLANE),
    "dropout of elements": (lambda: sp.Dropout(0.4, kind="elements", rng=0), {None: PLANE[None]}),
    "dropout by sub-matrices": (
        lambda: sp.Sequential(sp.Convolution(2, 4, 5, 2, rng=0), sp.LeakyReLU(0.2), sp.Dropout(0.5, rng=1),
                              sp.AveragePooling(2, 2), sp.SubmanifoldConvolution(2, 5, 3, (1, 3), rng=2),
                              sp.Dropout(0.3, rng=3)),
        {family: sparse(2, 4, 5, family) for family in FAMILIES},
    ),
    "batch normalisation": (lambda: sp.BatchNormalization(4), PLANE),
    "batch normalisation, leaky": (lambda: sp.BatchNormalization(4, slope=0.3, variance="biased"), PLANE),
    "batch normalisation, nothing learnt": (lambda: sp.BatchNormalization(4, affine=False, eps=0.1), PLANE),
    "batch normalisation, the mean only": (lambda: sp.BatchNormalization(4, mean_only=True), PLANE),
    "layer normalisation": (lambda: sp.layers.LayerNormalization(4, eps=0.01), PLANE),
    "group normalisation": (lambda: sp.layers.GroupNormalization(2, 4, eps=0.1), PLANE),
    "group normalisation over samples": (
        lambda: sp.layers.GroupNormalization(2, 4, eps=0.1, over="sample"), {None: PLANE[None]}),
    "instance normalisation": (lambda: sp.layers.InstanceNormalization(4), {None: PLANE[None]}),
    "coordinates": (lambda: sp.layers.AddCoordinates(2), {None: PLANE[None]}),
    "attention": (lambda: sp.layers.WindowAttention(2, 4, 2, 4, shift=(2, 1), rng=0), {None: PLANE[None]}),
    "attention, tetrahedra": (
        lambda: sp.layers.WindowAttention(sp.Lattice.simplex(3), 2, 2, (3, 2, 4), shift=1, rng=0),
        {None: TETRAHEDRON[None]}),
    "coordinates, triangles": (lambda: sp.layers.AddCoordinates(sp.Lattice.simplex(2)), {None: TRIANGLE[None]}),
    "normalisations and dropout, triangles": (
        lambda: sp.layers.Checkpointed(
            sp.Convolution(sp.Lattice.simplex(2), 4, 4, 2, rng=0), sp.Dropout(0.5, rng=1), sp.layers.Tanh(),
            sp.SubmanifoldConvolution(sp.Lattice.simplex(2), 4, 4, 2, rng=2), sp.BatchNormalization(4, slope=0.3),
            sp.layers.GroupNormalization(2, 4, eps=0.1), sp.layers.Softmax()), TRIANGLE),
    "instance normalisation, triangles": (lambda: sp.layers.InstanceNormalization(4), {None: TRIANGLE[None]}),
    "attention, bare": (
        lambda: sp.layers.WindowAttention(3, 2, 1, (3, 2, 5), positions=False, bias=False, rng=0), {None: SPACE[None]}),
    "to dense": (lambda: sp.SparseToDense(2), PLANE),
    "to dense rows": (lambda: sp.SparseToDense(2, flat=True), PLANE),
    "sequential": (lambda: sp.Sequential(sp.Convolution(2, 2, 2, 3, rng=0), sp.ReLU(), sp.MaxPooling(2, 2)), THIN),
    "nothing": (sp.Sequential, PLANE),
    "checkpointed": (
        lambda: sp.layers.Checkpointed(sp.Convolution(2, 2, 3, 2, rng=0), sp.BatchNormalization(3), sp.LeakyReLU(0.3),
                                sp.Dropout(0.4, rng=1), sp.AveragePooling(2, 2, 1)), THIN),
    "residual": (lambda: sp.Residual(sp.SubmanifoldConvolution(2, 4, 4, groups=2, rng=0), sp.LeakyReLU(0.2)), PLANE),
    "residual with a shortcut": (
        lambda: sp.Residual(sp.SubmanifoldConvolution(2, 2, 3, rng=0), shortcut=sp.NetworkInNetwork(2, 3, rng=1)),
        THIN,
    ),
    "concatenate": (
        lambda: sp.Concatenate(sp.Sequential(), sp.NetworkInNetwork(2, 3, rng=0), sp.SubmanifoldConvolution(2, 2, 1)),
        THIN,
    ),
    "concatenate, other sites": (
        lambda: sp.Concatenate(sp.Sequential(), sp.Convolution(2, 2, 1, 3, padding=1, rng=0), how="outer"), THIN),
    "residual, other sites": (
        lambda: sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, groups=4, rng=0), how="outer"), PLANE),
    "residual, at the input's sites": (
        lambda: sp.Residual(sp.Convolution(2, 4, 4, 3, padding=1, groups=4, rng=0), how="left"),
        {None: PLANE[None]},
    ),
    "sparsify": (lambda: sp.layers.Sparsify(4, rng=0), {None: PLANE[None]}),
    "sparsify by a sigmoid": (lambda: sp.layers.Sparsify(4, activation="sigmoid", rng=1), {None: PLANE[None]}),
    "pruning by a score of layers": (
        lambda: sp.layers.ScorePruning(sp.SubmanifoldConvolution(2, 2, 3, rng=0), sp.ReLU(),
                                       sp.NetworkInNetwork(3, 1, rng=1), threshold=-0.3, gate=True),
        {None: THIN[None]},
    ),
    "collapse": (lambda: sp.layers.Collapse(2, 1), PLANE),
    "collapse, 3-D": (lambda: sp.layers.Collapse(3, 0), SPACE),
    "height compression": (lambda: sp.layers.HeightCompression(2, 1), PLANE),
    "height compression, 3-D": (lambda: sp.layers.HeightCompression(3), SPACE),
    "densify": (lambda: sp.layers.Densify(2), THIN),
    "densify, triangles": (lambda: sp.layers.Densify(sp.Lattice.simplex(2)), SLIM),
    "pyramid": (
        lambda: sp.layers.Pyramid(
            sp.Convolution(2, 4, 4, 3, 2, padding=1, groups=4, size_rule="floor", rng=0), sp.MaxPooling(2, 2)),
        {None: PLANE[None]},
    ),
    "scale of samples": (
        lambda: sp.layers.SampleScale(sp.GlobalPooling("max"), sp.NetworkInNetwork(4, 1, rng=0)), {None: PLANE[None]}),
    "squeeze and excitation": (lambda: sp.layers.SqueezeExcitation(4, 2, rng=0), {None: PLANE[None]}),
    "efficient channel attention": (lambda: sp.layers.EfficientChannelAttention(4, 3, rng=0), {None: PLANE[None]}),
    "generalised mean": (lambda: sp.layers.GeneralizedMeanPooling(1.5, eps=0.01), PLANE),
    "keep the top": (lambda: sp.layers.KeepTop(4, 3, rng=0), {None: PLANE[None]}),
}
DRAWN = {  # each sample draws for itself, in evaluation too
    "fractional, overlapping": (lambda: sp.FractionalMaxPooling(2, 1.3, rng=0), PLANE),
    "fractional, disjoint": (
        lambda: sp.FractionalMaxPooling(2, (1.6, 1), sequence="random", overlap="disjoint", rng=0),
        PLANE,
    ),
    "fractional, shared, 3-D": (lambda: sp.FractionalMaxPooling(3, 1.7, overlap="shared", rng=0), SPACE),
    "fractional over zeros": (
        lambda: sp.FractionalMaxPooling(2, 1.45, sequence="random", background="zero", size_rule="nearest", rng=0),
        PLANE,
    ),
}
TO_POINTS = {  # a row for each point, not for each sample
    "to points": (lambda: sp.layers.ToPoints(sp.SubmanifoldConvolution(2, 2, 3, rng=0), sp.LeakyReLU(0.2)), THIN),
}
ON_ROWS = {
    "network in network": lambda: sp.NetworkInNetwork(4, 3, rng=0),
    "leaky ReLU": lambda: sp.LeakyReLU(0.2),
    "dropout": lambda: sp.Dropout(0.5, rng=0),
    "batch normalisation": lambda: sp.BatchNormalization(4),
    "PReLU": lambda: sp.layers.PReLU(4),
    "ELU": sp.layers.ELU,
    "GELU": sp.layers.GELU,
    "layer normalisation": lambda: sp.layers.LayerNormalization(4, eps=0.01),
    "residual": lambda: sp.Residual(sp.NetworkInNetwork(4, 4, rng=0)),
    "checkpointed": lambda: sp.layers.Checkpointed(sp.NetworkInNetwork(4, 4, rng=0), sp.layers.Tanh()),
    "concatenate": lambda: sp.Concatenate(sp.NetworkInNetwork(4, 3, rng=0), sp.NetworkInNetwork(4, 2, rng=1)),
}
GOING_BACK = {
    "deconvolution": lambda: sp.Deconvolution(2, 4, 3, 2, 2, rng=0),
    "deconvolution in groups": lambda: sp.Deconvolution(2, 4, 6, 2, 2, groups=2, bias=False, rng=0),
    "transposed convolution to the sites before": lambda: sp.layers.TransposedConvolution(
        2, 4, 3, 3, 2, padding=1, sites="source", rng=0),
    "un-pooling": lambda: sp.UnPooling(2, 2),
    "un-pooling of whatever pooled": lambda: sp.UnPooling(2),
}
