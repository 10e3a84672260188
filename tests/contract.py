"""What every layer must pass: check_layer. That of the backends is in contract_ops."""

import copy
import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from public import NAMES

import spconv_cy as sp
from spconv_cy.backend.switch import ops_of

# A GPU has tests of its own, tests/test_gpu.py: the others read numpy arrays.
WITHOUT_GPU = tuple(name for name in sp.available_backends() if name != "cuda")


def check_layer(make, inputs, layers=(), alike=True, backends=None):
    """Check what every layer promises.

    Args:
        make: function without arguments that makes the layer on the current backend.
        inputs: from `sparse`, `coarse` or `rows`.
        layers: classes that are not the library's.
        alike: whether a batch gives a sample what it gets alone: not where each sample's own draw decides.
        backends: names; by default all that need no GPU, and the numeric gradients.
    """
    for counts in ((5, 0, 4), (1,), (0, 0)):
        if backends is None:
            check_gradients_of(make, inputs, counts)
        check_backends(make, inputs, counts, backends)
    check_backends(make, inputs, (200, 0, 300), backends)
    for name in backends or WITHOUT_GPU:
        with sp.use(name):
            x = inputs((5, 0, 4))
            alive = make()(x)                                            # its grid keeps the rules for the calls below
            check_modes(make(), x)
            check_copies(make(), x)
            check_description(make(), x, layers)
            del alive
            if alike:
                check_samples(make().eval(), inputs, (5, 0, 4))


def sparse(d, channels, size, ground, lattice=None):
    """Make inputs: a function of the samples' numbers of sites; `only` leaves the batch with one of its samples.

    Values are float32 numbers at least 1e-3 apart from each other and from zero, so that no maximum is a draw.
    """

    @cache
    def drawn(counts):
        rng = np.random.default_rng(sum(counts))
        held = np.indices((size,) * d).reshape(d, -1).T
        if lattice is not None and lattice.kind == "simplex":
            held = held[held.sum(1) < size]
        field = len(held)
        places = [np.sort(rng.choice(field, min(n, field), replace=False)) for n in counts]
        values = apart(rng, sum(map(len, places)) + 1, channels)
        sites = [np.stack([np.full(len(p), i), *held[p].T], 1) for i, p in enumerate(places)]
        return np.concatenate(sites), values[:1], values[1:]

    def make(counts, only=None):
        sites, row, features = (array.copy() for array in drawn(counts))
        if only is not None:
            chosen = sites[:, 0] == only
            sites, features, counts = sites[chosen] * ([0] + [1] * d), features[chosen], [None]
        x = sp.SparseTensor.from_sites(sites, features, size, len(counts), ground=None if ground is None else "zero",
                                       lattice=lattice)
        return x.with_features(x.features, sp.Tensor(row) if ground == "drawn" else x.ground)

    return make


def coarse(inputs, pooling):
    """Make inputs whose sites a pooling made, for layers that go back."""
    return lambda counts, only=None: pooling(inputs(counts, only))


def rows(channels):
    """Make inputs that are plain rows, one a sample."""

    def make(counts, only=None):
        values = apart(np.random.default_rng(7), len(counts), channels)
        return sp.Tensor(values if only is None else values[only : only + 1])

    return make


def apart(rng, n, c):
    """Draw (n, c) float32 numbers from -2 to 2, all at least 1e-3 apart from each other and from zero."""
    steps = rng.permutation(n * c).reshape(n, c) - (n * c) // 2 + 0.5
    return np.round(steps * max(4 / max(1, n * c), 0.004), 6).astype(np.float32).astype(np.float64)


def check_gradients_of(make, inputs, counts):
    """The tape's gradients of inputs, ground and parameters are those of finite differences."""
    with sp.use("reference"):
        layer, x = begun(make()), inputs(counts)
        kept = draws_of(layer)
        places, given = places_of(layer), leaves_of(x)
        alive = layer(x)  # its grid keeps the rules, which each call would make anew

        def function(*tensors):
            for (owner, name), tensor in zip(places, tensors[len(given) :], strict=True):
                setattr(owner, name, tensor)
            if kept:
                rewind(layer, kept)
            return stack(*parts(layer(whole(x, tensors[: len(given)]))))

        sp.check_gradient(function, *given, *(getattr(owner, name).data for owner, name in places), directions=1)
        del alive


def check_backends(make, inputs, counts, backends=None):
    """Every backend gives the reference's outputs and gradients, to 1e-5 of an array's largest number, at least 1."""
    with sp.use("reference"):
        layer = begun(make())
        expected = outcome(layer, inputs(counts))
    for name in backends or [name for name in WITHOUT_GPU if name != "reference"]:
        with sp.use(name):
            mine = make()
            mine.load_state(layer.state())
            for (what, found), (_, truth) in zip(outcome(mine, inputs(counts)), expected, strict=True):
                assert found.shape == truth.shape, what
                limit = 1e-5 * max(1, np.abs(truth).max(initial=0))
                assert np.abs(found - truth).max(initial=0) <= limit, f"{what} on {name}, samples of {counts} sites"


def outcome(layer, x, absent=np.zeros):
    """Run forward and backward; list (what, array) of the outputs and of all gradients, of none absent(shape)."""
    leaves = [sp.Tensor(array, requires_grad=True) for array in leaves_of(x)]
    outputs = parts(layer(whole(x, leaves)))
    together = stack(*outputs)
    together.backward(np.cos(np.arange(together.data.size)))
    named = [(f"input {i}", leaf) for i, leaf in enumerate(leaves)]
    named += [(f"{type(owner).__name__}.{name}", getattr(owner, name)) for owner, name in places_of(layer)]
    gradients = [(f"gradient of {what}", absent(t.shape) if t.grad is None else on_host(t.grad)) for what, t in named]
    return [(f"output {i}", part.numpy()) for i, part in enumerate(outputs)] + gradients


def check_modes(layer, x):
    """A tape is recorded for a layer in training that is not frozen, and for nothing else."""
    has_weights = bool(layer.parameters())
    assert layer.training and recorded(layer, x) == has_weights
    assert not recorded(layer.eval(), x) and not layer.training
    assert recorded(layer.train(), x) == has_weights
    with sp.no_grad():
        assert not recorded(layer, x)
    assert not recorded(layer.freeze(), x)
    assert recorded(layer.freeze(False), x) == has_weights


def recorded(layer, x):
    """Whether a call leaves a tape."""
    return any(part.requires_grad for part in parts(layer(x)))


def check_copies(layer, x):
    """A copy gives the same bits, random draws included, and shares nothing that training changes."""
    expected = bits(copy.deepcopy(layer)(x))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert bits(twin(x)) == expected
        for array in twin.state().values():
            array += 1
    assert bits(layer(x)) == expected


def check_description(layer, x, layers=()):
    """The repr makes the layer anew, a file brings it back, and the summary counts what is there."""
    kept = draws_of(layer)
    anew = eval(repr(layer), {**NAMES, **{kind.__name__: kind for kind in layers}})
    assert repr(anew) == repr(layer) and list(anew.state()) == list(layer.state())
    with tempfile.TemporaryDirectory() as folder:
        sp.save(Path(folder) / "layer.safetensors", layer)
        loaded = sp.load(Path(folder) / "layer.safetensors", layers=layers)
    y = layer.eval()(x)
    rewind(loaded, kept)
    assert repr(loaded) == repr(layer) and bits(loaded.eval()(x)) == bits(y)
    rewind(layer, kept)
    summary = layer.train().summary(x)
    assert layer.training and summary.parameters == layer.n_parameters() == sum(p.data.size for p in layer.parameters())
    if not layer.children():
        rows = y.grid.n if isinstance(y, sp.SparseTensor) else len(y)
        assert (summary.rows[-1].rows, summary.rows[-1].channels) == (rows, parts(y)[0].shape[1])
        assert len(summary) == 1 + isinstance(x, sp.SparseTensor)
        assert type(layer).__name__ in str(summary) or layer.notation() in str(summary)


def draws_of(layer):
    """Return the random states of a layer."""
    return {path: generator.bit_generator.state for path, generator in layer.generators().items()}


def rewind(layer, kept):
    """Put random states of `draws_of` back."""
    for path, generator in layer.generators().items():
        generator.bit_generator.state = kept[path]


def check_samples(layer, inputs, counts):
    """A batch gives each sample what it gets alone, an empty one too."""
    y = layer(inputs(counts))
    for i in range(len(counts)):
        alone = layer(inputs(counts, i))
        if isinstance(y, sp.SparseTensor):
            mine = slice(*y.grid.batch_starts[i : i + 2])
            assert np.array_equal(alone.sites[:, 1:], y.sites[mine, 1:])
            pairs = [(alone.features, y.features.data[mine])]
            pairs += [] if y.ground is None else [(alone.ground, y.ground.data)]
        else:
            pairs = [(alone, y.data[i : i + 1])]
        for found, expected in pairs:
            assert np.allclose(found.numpy(), on_host(expected), rtol=1e-6, atol=1e-6), f"sample {i}"


def on_host(array):
    """Return an array of any backend as a numpy array."""
    return ops_of(array).to_numpy(array)


def parts(x):
    """List the tensors of a layer's input or output: features and ground, or the tensor itself."""
    if isinstance(x, sp.SparseTensor):
        return [x.features] if x.ground is None else [x.features, x.ground]
    return [x]


def begun(layer):
    """Give parameters that begin with one value, as biases do, different ones: none lies on the edge of a ReLU."""
    for owner, name in places_of(layer):
        data = getattr(owner, name).data
        if data.size and data.min() == data.max():
            data += apart(np.random.default_rng(1), *data.shape)
    return layer


def leaves_of(x):
    """List the arrays of an input by which can be differentiated: not a ground of zero, where a ReLU has two slopes."""
    return [part.data for i, part in enumerate(parts(x)) if i == 0 or part.data.any()]


def whole(x, tensors):
    """Put tensors in the place of `leaves_of(x)`."""
    if not isinstance(x, sp.SparseTensor):
        return tensors[0]
    return x.with_features(tensors[0], tensors[1] if len(tensors) > 1 else x.ground)


@sp.differentiable
def stack(*tensors):
    """Make one row of all numbers of several tensors, so that one gradient reaches them all."""
    ends, xp = np.cumsum([0] + [t.size for t in tensors]), ops_of(*tensors).xp

    def backward(dy):
        return tuple(dy[a:b].reshape(t.shape) for a, b, t in zip(ends[:-1], ends[1:], tensors, strict=True))

    return xp.concatenate([t.reshape(-1) for t in tensors]), backward


def bits(y):
    """List the bytes of an output."""
    return [part.data.tobytes() for part in parts(y)] + ([y.sites.tobytes()] if isinstance(y, sp.SparseTensor) else [])


def places_of(layer):
    """List (owner, attribute) of each parameter of a layer and of all below it."""
    below = [place for child in layer.children() for place in places_of(child)]
    return [(layer, name) for name, value in vars(layer).items() if isinstance(value, sp.Tensor)] + below
