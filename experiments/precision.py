"""Three trained networks frozen in float32, bfloat16 and int8: errors, speed and memory of each."""

import re
import time
from dataclasses import dataclass
from functools import partial

import kanji
import lidar
import numpy as np
import unseen_writers
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import config
from spconv_cy.compiled import small
from spconv_cy.train.metrics import confusion_matrix, mean_iou

PRECISIONS = ("float32", "bfloat16", "int8")
HEAD = ["task", "split", "n", "numbers", "error, %", "mean IoU, %", "answers that differ from float32's, %",
        "ms an item, one thread", "MB of weights", "MB of a call", "in float32"]


@dataclass(frozen=True)
class Task:
    """A trained network and its data.

    Attributes:
        what, split, item: words for the table.
        net: the trained network, whose result has a row for each label.
        calibrate: list of inputs from the training part.
        test: Batches of the test part.
        rows: function of (result, x) that gives an array with a row for each label.
    """

    what: str
    split: str
    item: str
    net: sp.layers.Layer
    calibrate: list
    test: object
    rows: object = staticmethod(lambda y, x: y.data)


def main():
    parser = Experiment.parser(__doc__, data=f"folder with {lidar.FILE} (R package lidR, GPL-3), and perhaps with "
                               f"{' and '.join(kanji.WANTED)} ({'; '.join(kanji.WANTED.values())})")
    run = Experiment.of("precision", parser.parse_args())
    rows = []
    for name, make in {"digits": digits, "lidar": scan, "kanji": characters}.items():
        task = make(run)
        if task is None:
            continue
        found = run.once(name, partial(compared, run, task))
        for precision, values in found["of"].items():
            rows.append([task.what, task.split, f"{found['n']:,} {task.item}", precision, f"{values['error']:.2f}",
                         f"{values['iou']:.2f}", f"{values['differ']:.2f}", f"{values['ms']:.3g}",
                         f"{values['weights'] / 1e6:.2f}",
                         f"{values['call'] / 1e6:.2f}" if values["call"] else "not told", values["others"]])
            print(f"{name}, {precision}: {values['error']:.2f} % wrong", flush=True)
    title = f"Errors, speed and memory by the precision of a frozen network; products by {kernels()}"
    print(run.table(title, HEAD, rows))


def digits(run):
    """Return the Task of the digits of writers never seen."""
    train, test = ((items[:n], labels[:n]) for (items, labels), n in
                   zip(sp.data.digits_by_writers(), run.pick((None,) * 2, (None,) * 2, (400, 200)), strict=True))
    net, batches = unseen_writers.trained(run, "digits", train, unseen_writers.CHOSEN, run.pick(30, 6, 1), run.seed)
    return Task("pen digits", "30 writers to train on, 14 others to test", "digits", net,
                inputs(batches(train), run), batches(test))


def scan(run):
    """Return the Task of the points of an aerial scan."""
    parts = lidar.parts_of(*lidar.scan_of(run), ("west", "east"))
    cell = lidar.CELLS[2]
    net = lidar.trained(run, "lidar", parts["west"], cell, run.seed, run.pick(80, 40, 4))
    west = sp.data.PointBatches(*parts["west"], cell, tile=64, batch=1)
    return Task("points of an aerial scan", "west to train on, east to test on", "points",
                sp.layers.Sequential(*net.layers),                      # without the step from sites to points
                inputs(west, run), sp.data.PointBatches(*parts["east"], cell),
                lambda y, x: y.to_points(x.point_rows).data)


def characters(run):
    """Return the Task of the Chinese characters, or None without their drawings."""
    try:
        train, test = kanji.hands(run)
    except SystemExit:
        return None
    if run.size == "full":
        kept = np.random.default_rng(run.seed).permutation(train.classes)[:1000].tolist()
        train, test = (part.with_classes(sorted(kept)) for part in (train, test))
    encoder, net, data = kanji.prepared(run, "undirected", run.seed, train)
    run.fit("kanji", net, data, sp.Adam(net.parameters(), 0.003), run.pick(48, 60, 2), schedule="cosine")
    split = "one drawing each of KanjiVG to train on, Make Me a Hanzi to test"
    return Task(f"{len(train.classes):,} Chinese characters", split, "drawings", net, inputs(data, run),
                sp.data.StrokeBatches(test.characters, test.labels, encoder))


def inputs(batches, run):
    """Return a few inputs of the training part, not distorted."""
    epoch = batches.epoch(0, training=False)
    return [x for (x, _), _ in zip(epoch, range(run.pick(4, 4, 2)), strict=False)]


def compared(run, task):
    """Return the errors, times and memory of a network in each precision; the passes are timed in turns."""
    nets = {name: sp.freeze(task.net, precision=name, calibrate=task.calibrate) for name in PRECISIONS}
    batches = list(task.test.epoch(0, training=False))
    labels = np.concatenate([labels for _, labels in batches])
    times = {name: np.full(len(batches), np.inf) for name in nets}
    answers = {}
    with config.thread_limit(1):
        for _ in range(run.pick(5, 5, 2)):
            for name, net in nets.items():
                found = []
                for i, (x, _) in enumerate(batches):
                    net(x)                                              # which finds the rulebooks
                    began = time.perf_counter()
                    y = net(x)
                    times[name][i] = min(times[name][i], time.perf_counter() - began)
                    found.append(task.rows(y, x).argmax(1))
                answers[name] = np.concatenate(found)
    largest = max((x for x, _ in batches), key=lambda x: x.grid.n)
    return {"n": len(labels), "of": {name: {
        "error": 100 * float(np.mean(answers[name] != labels)),
        "differ": 100 * float(np.mean(answers[name] != answers["float32"])),
        "iou": 100 * float(mean_iou(confusion_matrix(answers[name], labels))),
        "ms": 1e3 * float(times[name].sum()) / len(labels),
        "weights": net.weight_bytes(), "call": told(net, largest), "others": others(net)}
        for name, net in nets.items()}}


def told(net, x):
    """Return the bytes of a call, or None where layers that are called as they are do not tell them."""
    try:
        return net.memory(x)
    except TypeError:
        return None


def others(net):
    """Return the words of the network's text that say which steps are computed in float32."""
    found = re.search(r"in float32: (.*)\)", repr(net))
    return found[1] if found else "all"


def kernels():
    """Return the names of the instruction sets in use."""
    return "; ".join(f"{name}: {small.in_use(name)[0]}" for name in PRECISIONS[1:])


if __name__ == "__main__":
    main()
