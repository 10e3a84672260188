"""Checkpoints: a run that was stopped goes on to the bits of one that was not; others' files are refused whole."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import spconv_cy as sp
from spconv_cy.errors import FileError
from spconv_cy.io import archive
from spconv_cy.train.checkpoint import KIND

CHARACTERS = [[[(0, 0), (9, i % 4)]] if i % 2 else [[(0, 0), (i % 3, 9)]] for i in range(20)]
LABELS = np.arange(20) % 2
EPOCHS = 5


def network(rng=0):
    """Return a network with everything that a run must remember: dropout's generators, running statistics."""
    return sp.models.from_spec("3C3-BN-MP2-D0.4-4C2-D0.3-output", 8, classes=2, rng=rng)


def run(path=None, net=None, make=sp.Adam, epochs=EPOCHS, **options):
    """Train from the beginning, or from the checkpoint at path; return (network, history)."""
    net = network() if net is None else net
    encoder = sp.data.StrokeEncoder(size=8, scale=3)
    data = sp.data.StrokeBatches(CHARACTERS, LABELS, encoder, batch=6, augment="affine")
    history = sp.fit(net, data, make(net.parameters(), 0.02), epochs, schedule=sp.train.Cosine(EPOCHS), progress=False,
                     checkpoint=path, validation=sp.data.StrokeBatches(CHARACTERS, LABELS, encoder),
                     **{"rng": 7, **options})
    return net, history


def same(a, b):
    """Whether two networks have the same bits, the generators' too."""
    mine, theirs = a.state(), b.state()
    drawn = [[str(g.bit_generator.state) for g in net.generators().values()] for net in (a, b)]
    return list(mine) == list(theirs) and all(np.array_equal(mine[k], theirs[k]) for k in mine) and drawn[0] == drawn[1]


def told(history):
    """Return all of a history that does not depend on the clock."""
    return {name: value for name, value in vars(history).items() if name != "seconds"}


@pytest.fixture(scope="module")
def whole():
    """The run that was never stopped."""
    return run()


def momentum(parameters, rate):
    return sp.SGD(parameters, rate, momentum=0.9, weight_decay=1e-3, max_norm=1)


@pytest.mark.parametrize("make", [sp.Adam, sp.Nesterov, momentum, sp.SGD])
def test_a_run_stopped_between_epochs_goes_on_to_the_same_bits(make, tmp_path):
    whole, history = run(make=make)
    for epochs in (1, 3):
        run(tmp_path / "run", make=make, epochs=epochs)
    net, found = run(tmp_path / "run", make=make)
    assert same(net, whole) and told(found) == told(history) and len(found.seconds) == EPOCHS
    again, found = run(tmp_path / "run", make=make)
    assert same(again, whole) and told(found) == told(history), "nothing is left to do"


def test_a_network_that_began_otherwise_is_overwritten_by_the_checkpoint(whole, tmp_path):
    run(tmp_path / "run", epochs=2)
    assert same(run(tmp_path / "run", net=network(rng=99))[0], whole[0])


def test_a_run_killed_in_an_epoch_goes_on_from_the_epoch_before(whole, tmp_path):
    class Killed(BaseException):
        pass

    class Fragile(sp.Adam):
        steps = 0

        def step(self):
            super().step()
            self.steps += 1
            if self.steps == 10:                                         # four steps an epoch
                raise Killed

    Fragile.__name__ = "Adam"
    with pytest.raises(Killed):
        run(tmp_path / "run", make=Fragile)
    net, history = run(tmp_path / "run")
    assert same(net, whole[0]) and told(history) == told(whole[1])


def test_a_fresh_process_goes_on_to_the_same_bits(whole, tmp_path):
    run(tmp_path / "run", epochs=2)
    program = ("import sys; import spconv_cy as sp; sys.path.insert(0, sys.argv[1]); from test_checkpoint import run; "
               "sp.save(sys.argv[3], run(sys.argv[2])[0])")
    here = os.path.dirname(__file__)
    subprocess.run([sys.executable, "-c", program, here, tmp_path / "run", tmp_path / "net.safetensors"], check=True)
    assert same_weights(sp.load(tmp_path / "net.safetensors"), whole[0])


def same_weights(a, b):
    mine, theirs = a.state(), b.state()
    return list(mine) == list(theirs) and all(np.array_equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_generators_of_any_kind_are_remembered(kind, tmp_path):
    def net():
        dropout = sp.Dropout(0.5, rng=np.random.Generator(kind(4)))
        return sp.Sequential(sp.Convolution(2, 8, 6, 3, rng=0), dropout, sp.GlobalPooling(),
                             sp.NetworkInNetwork(6, 2, rng=1))

    whole = run(net=net())[0]
    run(tmp_path / "run", net=net(), epochs=2)
    assert same(run(tmp_path / "run", net=net())[0], whole)


def test_without_a_seed_the_checkpoints_own_goes_on(tmp_path):
    first, _ = run(tmp_path / "run", epochs=2, rng=None)
    copied = (tmp_path / "run").read_bytes()
    one, _ = run(tmp_path / "run", rng=None)
    (tmp_path / "run").write_bytes(copied)
    assert same(run(tmp_path / "run", rng=None)[0], one)


def test_a_generator_as_seed_goes_on_too(tmp_path):
    whole = run(rng=np.random.default_rng(3))[0]
    run(tmp_path / "run", epochs=2, rng=np.random.default_rng(3))
    assert same(run(tmp_path / "run", rng=np.random.default_rng(3))[0], whole)


def test_early_stop_goes_on_with_its_best_weights(tmp_path):
    def stopping(path, epochs, after):
        net, x, labels = sp.models.mlp((2, 2), rng=0), sp.Tensor(np.eye(2)), np.array([0, 1])
        history = sp.fit(net, [(x, labels)], sp.SGD(net.parameters(), 1.0), epochs, validation=[(x, labels)],
                         schedule=lambda epoch: 1 if epoch < 4 else -1, patience=after, rng=0, progress=False,
                         checkpoint=path)
        return net, history

    whole, expected = stopping(None, 50, 3)
    for after in (3, None):                                              # the best is kept, asked for or not
        path = tmp_path / f"run {after}"
        stopping(path, 5, after)
        net, history = stopping(path, 50, 3)
        assert same(net, whole) and told(history) == told(expected) and history.best == 3
        again, history = stopping(path, 50, 3)
        assert same(again, whole) and len(history) == len(expected)


def test_a_run_that_gets_its_validation_late_stops_early_too(tmp_path):
    def late(validation, epochs, **options):
        net, x, labels = sp.models.mlp((2, 2), rng=0), sp.Tensor(np.eye(2)), np.array([0, 1])
        return sp.fit(net, [(x, labels)], sp.SGD(net.parameters(), 1.0), epochs, rng=0, progress=False,
                      schedule=lambda epoch: 1 if epoch < 4 else -1, checkpoint=tmp_path / "run",
                      validation=[(x, labels)] if validation else None, **options)

    late(False, 2)
    history = late(True, 50, patience=2)
    assert history.best == 3 and len(history) == 6 and len(history.validation_losses) == 4


def test_a_checkpoint_is_whole_or_that_of_before(tmp_path, monkeypatch):
    run(tmp_path / "run", epochs=2)
    before = (tmp_path / "run").read_bytes()

    def fails(*_):
        raise OSError("no room")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(os, "replace", fails)
        run(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == before and os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"make": sp.Nesterov}, "expected a checkpoint of the optimiser Nesterov, got one of Adam"),
        ({"rng": 8}, "expected a checkpoint of the seed 8, got one of the seed 7"),
        ({"net": sp.models.from_spec("3C3-BN-MP2-4C2-output", 8, classes=2, rng=0)}, "with the random states"),
        ({"net": sp.models.from_spec("3C3-BN-MP2-D0.4-5C2-D0.3-output", 8, classes=2, rng=0)},
         "expected a checkpoint of this network and optimiser, got another one"),
        ({"net": sp.models.from_spec("3C3-MP2-D0.4-4C2-D0.3-output", 8, classes=2, rng=0)},
         "random states|this network"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_and_changes_nothing(options, message, tmp_path):
    run(tmp_path / "run", epochs=1)
    net = options.get("net") or network(rng=5)
    before = copy.deepcopy(net)
    with pytest.raises(FileError, match=f"{message}.*give another path to start a new run"):
        run(tmp_path / "run", **{**options, "net": net})
    assert same(net, before)


def forged(path, **changes):
    """Change the description of a checkpoint, its checksum too."""
    arrays, text = archive.read(path, KIND)
    archive.write(path, KIND, arrays, {**text, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"history": {"losses": [], "os": "mkdir"}},
        {"history": 3},
        {"generators": {"layers.4.rng": 3, "layers.7.rng": 3}},
        {"generators": {"layers.4.rng": {"bit_generator": "PCG64", "state": {"state": -1, "inc": 10**99}}}},
        {"generators": 3},
        {"optimizer": ["Adam"]},
        {"more": 1},
    ],
)
def test_a_forged_checkpoint_is_refused_and_changes_nothing(changes, tmp_path):
    run(tmp_path / "run", epochs=1)
    forged(tmp_path / "run", **changes)
    net = network(rng=5)
    before = copy.deepcopy(net)
    with pytest.raises(FileError):
        run(tmp_path / "run", net=net)
    assert same(net, before)


def test_a_damaged_checkpoint_is_refused_and_changes_nothing(tmp_path, rng):
    run(tmp_path / "run", epochs=1)
    content, net = (tmp_path / "run").read_bytes(), network(rng=5)
    before = copy.deepcopy(net)
    for n in rng.integers(len(content), size=40):
        flipped = bytearray(content)
        flipped[n] ^= 1 << rng.integers(8)
        for damaged in (content[:n], bytes(flipped)):
            (tmp_path / "run").write_bytes(damaged)
            with pytest.raises(FileError):
                run(tmp_path / "run", net=net, epochs=0)
            assert same(net, before)


def test_a_network_file_is_no_checkpoint_and_the_other_way_round(tmp_path):
    run(tmp_path / "run", epochs=1)
    with pytest.raises(FileError, match="checkpoints by fit"):
        sp.load(tmp_path / "run")
    sp.save(tmp_path / "net", network())
    with pytest.raises(FileError, match="networks are read by load"):
        run(tmp_path / "net")


def test_frozen_parameters_are_remembered_as_they_are(tmp_path):
    def net():
        made = network()
        made.layers[0].freeze()
        return made

    whole = run(net=net())[0]
    run(tmp_path / "run", net=net(), epochs=2)
    resumed = run(tmp_path / "run", net=net())[0]
    assert same(resumed, whole)
    assert_array_equal(resumed.layers[0].weight.data, network().layers[0].weight.data)
