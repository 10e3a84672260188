"""A user's program, typed as mypy --strict asks: it must find the types of spconv_cy where pip put the package."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

import spconv_cy as sp


class Scale(sp.Layer):
    """A layer of one's own: a factor for each channel."""

    def __init__(self, channels: int) -> None:
        self.factor = sp.Tensor(np.ones((1, channels)), requires_grad=True)

    def __call__(self, x: sp.SparseTensor) -> sp.SparseTensor:
        return x.with_features(x.features * self.factor, x.ground)


def network(channels: int, classes: int) -> sp.Sequential:
    """Return a small network with a layer of one's own in it."""
    return sp.Sequential(
        sp.Convolution(2, channels, 4, size=3, padding=1, rng=0), sp.BatchNormalization(4), sp.ReLU(), Scale(4),
        sp.MaxPooling(2, 2), sp.SubmanifoldConvolution(2, 4, 4, rng=1), sp.GlobalPooling("average"),
        sp.NetworkInNetwork(4, classes, rng=2))


def tensor(rng: np.random.Generator, samples: int) -> sp.SparseTensor:
    """Return a few random sites of each sample."""
    sites: npt.NDArray[np.int64] = np.unique(rng.integers(0, (samples, 8, 8), (20 * samples, 3)), axis=0)
    return sp.SparseTensor.from_sites(sites, rng.normal(size=(len(sites), 1)), size=(8, 8), samples=samples)


def main() -> float:
    """Train, evaluate, save, load; return the error."""
    rng = np.random.default_rng(0)
    labels = np.arange(6) % 2
    x = tensor(rng, 6)
    net = network(1, 2)
    optimizer = sp.Adam(net.parameters(), rate=0.01)
    history = sp.fit(net, [(x, labels)], optimizer, epochs=2, schedule=sp.train.Cosine(2), progress=False)
    loss: float = history.losses[-1]
    assert loss > 0
    outputs = net.eval()(x)
    assert isinstance(outputs, sp.Tensor)                                # rows, where a network ends in them
    loss_of_one = sp.softmax_cross_entropy(outputs, labels)
    assert loss_of_one.shape == ()
    error = sp.evaluate(net, [(x, labels)]).error
    assert error is not None                                             # as for a loss without classes
    with TemporaryDirectory() as folder:
        sp.save(Path(folder) / "net.safetensors", net)
        again = sp.load(Path(folder) / "net.safetensors", layers=[Scale])
    state: dict[str, npt.NDArray[np.float32]] = again.state()
    assert list(state) == list(net.state()) and again.n_parameters() == net.n_parameters()
    with sp.use("reference"), sp.no_grad():
        unet: sp.Layer = sp.models.unet(levels=2, base=4, classes=2, d=2, rng=0)
        assert unet.parameters()[0].data.size > 0
    batches = sp.data.TensorBatches([tensor(rng, 1) for _ in range(4)], [0, 1, 0, 1], batch=2)
    assert len(batches) == 4
    sp.check_gradient(lambda a: sp.functional.tanh(a), rng.normal(size=(3, 2)))
    try:
        sp.Convolution(2, 1, 4, size=0)
    except sp.errors.ShapeError as refused:
        assert str(refused)
    return error


if __name__ == "__main__":
    main()
