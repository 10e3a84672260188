"""What a run shows and tells: the bar, lines, callbacks, an interruption; and steps of several batches."""

import io
import re
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_loop import batches, network, same, trained

import spconv_cy as sp

ROOT = Path(__file__).resolve().parents[1]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def shown(monkeypatch, columns, call):
    """Return what a call writes to a terminal of so many columns, one text for each time the line is drawn."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stderr", screen)
    call()
    return [text for text in re.split(r"[\r\n]", screen.getvalue()) if text.strip()]


def fit_twice():
    net = network()
    sp.fit(net, batches(), sp.Adam(net.parameters()), 12, validation=batches(), rng=0)


def test_a_wide_bar_shows_loss_error_speed_and_time_left(monkeypatch):
    last = shown(monkeypatch, 200, fit_twice)[-1]
    for part in ("epoch 12/12", "100%", "288/288", "loss 0.", "error ", "validation ", "samples/s", "<"):
        assert part in last, part
    assert "24/24" in shown(monkeypatch, 200, lambda: sp.evaluate(network(), batches(), progress=True))[-1]


def test_a_bar_fits_60_columns(monkeypatch):
    drawn = shown(monkeypatch, 60, fit_twice)
    assert max(map(len, drawn)) <= 60
    assert re.fullmatch(r"epoch 12/12: +100%, loss [\d.e-]+ err [\d.]+% val [\d.]+% 00:00\s*", drawn[-1]), drawn[-1]


def test_where_there_is_no_terminal_an_epoch_is_a_line(capsys):
    net = network()
    sp.fit(net, batches(), sp.Adam(net.parameters()), 2, validation=batches(), rng=0)
    sp.evaluate(net, batches(), progress=True)
    sp.fit(net, batches(), sp.Adam(net.parameters()), 1)
    first, second, tested, plain = capsys.readouterr().err.splitlines()
    line = r"epoch {}/2  loss [\d.]+, error [\d.]+ %, validation [\d.]+ %, [\d.]+ s"
    assert re.fullmatch(line.format(1), first) and re.fullmatch(line.format(2), second)
    assert tested == "evaluate  24/24 samples"
    assert re.fullmatch(r"epoch 1/1  loss [\d.]+, error [\d.]+ %, [\d.]+ s", plain)
    sp.evaluate(net, batches())
    sp.fit(net, batches(), sp.Adam(net.parameters()), 1, progress=False)
    out = capsys.readouterr()
    assert not out.err and not out.out


def test_an_evaluation_is_printed_in_three_lines(rng):
    x, labels = sp.Tensor([[5.0, 0, 0], [0, 5, 0], [0, 5, 0], [0, 0, 5]]), np.array([0, 0, 1, 2])
    first, second, third = str(sp.evaluate(sp.Sequential(), [(x, labels)])).splitlines()
    assert re.fullmatch(r"Evaluation: loss [\d.]+, error 25.00 % of 4 samples, mean IoU 66.7 %", first)
    assert (second, third) == ("  worst classes: 0 (50.0 %)", "  most often confused: 0 taken for 1 (1)")
    right = str(sp.evaluate(sp.Sequential(), [(x, np.array([0, 1, 1, 2]))]))
    assert right.endswith("worst classes: none\n  most often confused: none")
    targets = sp.evaluate(sp.Sequential(), [(x, np.zeros((4, 3)))], loss=sp.mse)
    assert len(repr(targets).splitlines()) == 3 and "labels are not class numbers" in repr(targets)


class Listener:
    """A callback with all methods."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def on_begin(self, training):
        self.calls.append(("begin", training.epochs))

    def on_step(self, training):
        assert np.isfinite(training.loss)
        self.calls.append(("step", training.step, training.epoch))

    def on_epoch(self, training):
        self.calls.append(("epoch", training.epoch, len(training.history)))
        return training.epoch + 1 == self.stop_after

    def on_end(self, training):
        self.calls.append(("end", len(training.history)))


def test_callbacks_follow_a_run_and_may_end_it():
    listener, lengths = Listener(stop_after=2), []
    net, history = trained(epochs=5, callbacks=[listener, lambda history: lengths.append(len(history))])
    assert len(history) == 2 and lengths == [1, 2]
    steps = [("step", i, i > 4) for i in range(1, 9)]                    # 24 characters are 4 batches of up to 7
    assert listener.calls == [("begin", 5), *steps[:4], ("epoch", 0, 1), *steps[4:], ("epoch", 1, 2), ("end", 2)]
    assert same(net, trained(epochs=2)[0])
    assert len(trained(epochs=4, callbacks=lambda history: len(history) == 3)[1]) == 3
    assert len(trained(epochs=2, callbacks=lambda history: "no stop")[1]) == 2


def test_a_failed_run_still_calls_on_end():
    listener = Listener()
    with pytest.raises(ZeroDivisionError):
        trained(callbacks=[listener], on_epoch=lambda history: 1 / 0)
    assert listener.calls[-1] == ("end", 1)


@pytest.mark.parametrize("given", [3, [None], Listener, "print"])
def test_what_is_no_callback_is_refused_before_training(given):
    net = network()
    before = {name: array.copy() for name, array in net.state().items()}
    with pytest.raises(TypeError, match="fit: expected callbacks to be functions of the History, or objects with"):
        trained(net=net, callbacks=given)
    assert all(np.array_equal(array, before[name]) for name, array in net.state().items())
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="accumulate to be a whole number from 1"):
            trained(accumulate=wrong)


class InterruptedInTheMiddle:
    """A callback that presses Ctrl-C in a step of the third epoch."""

    def on_step(self, training):
        if training.epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("resumes", [True, False])
def test_an_interruption_says_in_one_line_how_to_go_on(resumes, tmp_path):
    options = {"checkpoint": tmp_path / "run.safetensors"} if resumes else {}
    net = network()
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(epochs=4, net=net, callbacks=InterruptedInTheMiddle(), **options)
    told = str(caught.value)
    assert told.startswith("fit: interrupted in epoch 3 of 4; ") and "\n" not in told
    path = str(tmp_path / "run.safetensors")
    assert (f"the same call, with checkpoint={path!r}, goes on after epoch 2" in told) == resumes
    lines = traceback.format_exception(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert len("".join(lines).splitlines()) <= 16                        # this test, `trained`, and fit itself
    assert net.training
    if resumes:
        again, history = trained(epochs=4, net=network(), **options)
        assert len(history) == 4 and same(again, trained(epochs=4)[0])


@pytest.mark.parametrize("scale", [None, 64.0])
def test_accumulated_batches_are_one_large_batch(scale, rng):
    x, labels = rng.normal(size=(22, 4)), rng.integers(0, 3, 22)
    labels[[3, 4, 5, 9]] = 255

    def run(batch, accumulate, optimizer=sp.SGD):
        net = sp.models.mlp((4, 5, 3), rng=0)

        class Rows(sp.data.Batches):
            def prepare(self, epoch, seed, training):
                return lambda items: sp.Tensor(x[items])

        history = sp.fit(net, Rows(22, labels, batch=batch), optimizer(net.parameters(), 0.5), 3, rng=1, progress=False,
                         accumulate=accumulate, ignore_label=255, schedule="cosine", loss_scale=scale)
        return net, history

    (one, its), (other, others) = run(8, 1), run(2, 4)
    for name, array in one.state().items():
        assert_allclose(other.state()[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    assert_allclose(others.losses, its.losses, rtol=1e-5)
    assert others.rates == its.rates
    assert same(run(8, 1, sp.Adam)[0], run(8, 3, sp.Adam)[0]) is False


def test_the_recipes_of_the_documentation_run(monkeypatch, tmp_path):
    """TensorBoard and MLflow are replaced by stand-ins that note what they are called with."""
    told = []

    class Writer:
        def __init__(self, folder):
            told.append(("open", folder))

        def add_scalar(self, name, value, step):
            told.append((name, float(value), step))

        def close(self):
            told.append(("close",))

    class Stand:
        @staticmethod
        def log_metric(name, value, step):
            told.append((name, float(value), step))

    monkeypatch.setitem(sys.modules, "tensorboardX", type(sys)("tensorboardX"))
    sys.modules["tensorboardX"].SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "mlflow", Stand)
    page = (ROOT / "docs" / "training.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    recipes = [text for text in blocks if re.search("tensorboardX|mlflow", text)]
    assert len(recipes) == 2
    for recipe in recipes:
        told.clear()
        names = {}
        exec(compile(recipe, "docs/training.md", "exec"), names)
        callback = next(value for name, value in names.items() if name in ("board", "to_mlflow"))
        net, history = trained(epochs=2, callbacks=callback, validation=batches())
        assert ("loss", history.losses[1], 1) in told and ("validation error", history.validation_errors[0], 0) in told
    assert {"mlflow", "tensorboardX"} <= set(sys.modules)
