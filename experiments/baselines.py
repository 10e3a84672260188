"""Cheap classifiers for the tasks of the other experiments, by scikit-learn: what a network must be better than.

Every setting is chosen on items held out from the training part; then the classifier is trained on the whole part.
"""

import time
from functools import partial

import kanji
import lidar
import numpy as np
from direction_maps import coordinates, direction_maps
from experiment import Experiment

import spconv_cy as sp
from spconv_cy.data.pen_digits import with_aspect
from spconv_cy.train.metrics import confusion_matrix, mean_iou

C = (1.0, 3.0, 10.0, 30.0)
EPOCHS = 30                                             # of the perceptron, as many as of the networks on the digits
TASKS = ("digits, writers", "digits, random", "omniglot", "kanji", "adrenal", "mnist", "lidar")


def main():
    parser = Experiment.parser(__doc__, data="folder with omniglot_strokes.npz, adrenal3d.npz and "
                               "lidar_topography.npz; a task whose file is not there is left out")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="which (all)")
    run = Experiment.of("baselines", options := parser.parse_args())
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SystemExit("baselines.py: expected scikit-learn, got none; pip install scikit-learn") from error
    for task in options.tasks:
        for name, compute in (task_of(run, task) or {}).items():
            found = run.once(f"{task}: {name}", compute)
            print(f"{task}: {name}: " + (f"{100 * found['error']:.2f} %" if "error" in found
                                         else f"mean IoU {found['value']:.1f} %"), flush=True)
    rows = [[*key.split(": ", 1), found["n"], f"{100 * found['error']:.2f} % wrong" if "error" in found
             else f"mean IoU {found['value']:.1f} %", found["setting"], f"{found['seconds']:.0f}"]
            for key, found in run.figures.items()]
    run.table("Test part", ["task", "baseline", "n", "result", "chosen", "processor seconds"], rows)


def task_of(run, task):
    """Return {name: function that trains and tests it} of a task, or None if its data are not there."""
    if task.startswith("digits"):
        return digits(run, task)
    file = {"omniglot": "omniglot_strokes.npz", "adrenal": "adrenal3d.npz", "lidar": lidar.FILE}.get(task)
    if file and not (run.data and (run.data / file).exists()):
        print(f"{task}: no {file} in a folder of --data")
        return None
    return {"omniglot": omniglot, "kanji": hands, "adrenal": adrenal, "mnist": pictures, "lidar": points}[task](run)


def digits(run, task):
    split = sp.data.digits_by_writers() if task.endswith("writers") else sp.data.digits_split(run.seed)
    (train, labels), (test, answers) = [(part[:n], of[:n]) for (part, of), n in
                                        zip(split, run.pick((None,) * 2, (2000, 1000), (300, 100)), strict=True)]
    raw = [np.array(part, np.float32).reshape(len(part), 16) / 100 for part in (train, test)]
    maps = [direction_maps([with_aspect(character) for character in part]) for part in (train, test)]
    held = np.random.default_rng(run.seed).random(len(labels)) < 0.2
    given = labels, answers, held
    return both(raw, maps, given) | {"perceptron, 256-256, on direction maps": partial(perceptron, maps, *given[:2])}


def both(points, maps, given):
    labels, answers, held = given
    return {f"{kind} on {what}": partial(how, x, *((labels, answers, held) if how is vectors else (labels, answers)))
            for what, x in (("coordinates", points), ("direction maps", maps))
            for kind, how in (("support vectors", vectors), ("1-nearest neighbour", neighbour))}


def omniglot(run):
    parts = sp.readers.read_handwriting(run.data / "omniglot_strokes.npz").split()
    train, test = (part.take(part.labels < run.pick(200, 200, 10)) for part in parts)
    held = np.isin(train.writers, np.unique(train.writers)[::4])
    points, maps = ([of(part.characters) for part in (train, test)] for of in (coordinates, direction_maps))
    return both(points, maps, (train.labels, test.labels, held))


def hands(run):
    """Chinese characters: one training drawing a class, so that nothing can be held out and nothing is chosen."""
    try:
        train, test = kanji.hands(run)
    except SystemExit:                                  # it has said what it wants
        return None
    given = train.labels, test.labels
    what = {"coordinates": coordinates, "direction maps": direction_maps,
            "maps of four directions": partial(direction_maps, encoding="undirected"),
            "direction maps, cosine": lambda characters: unit(direction_maps(characters))}
    x = {name: [of(part.characters) for part in (train, test)] for name, of in what.items()}
    return {f"1-nearest neighbour on {name}": partial(neighbour, parts, *given) for name, parts in x.items()}


def adrenal(run):
    every = sp.readers.read_voxels(run.data / "adrenal3d.npz")
    parts = [every.part(fold) for fold in (0, 2, 1)]    # to train on, to choose on, to test on
    x = [np.stack([np.histogramdd(v, (7,) * 3, [(0, n) for n in every.size])[0].ravel() for v in voxels])
         for voxels, _ in parts]
    labels, chosen, answers = (of for _, of in parts)
    held = np.arange(len(labels) + len(chosen)) >= len(labels)
    both_parts = [np.concatenate(x[:2]), x[2]], np.concatenate([labels, chosen]), answers
    return {"support vectors on counts in 7^3 boxes": partial(vectors, *both_parts, held, rest=False),
            "random forest on counts in 7^3 boxes": partial(forest, *both_parts)}


def pictures(run):
    name, _, *parts = run.digit_pictures()
    if name != "MNIST":
        print("mnist: no MNIST; make mnist fetches it")
        return None
    (train, labels), (test, answers) = parts
    x = [part.reshape(len(part), -1).astype(np.float32) for part in (train, test)]
    middle = x[0].mean(0)
    axes = np.linalg.svd(x[0][:10_000] - middle, full_matrices=False)[2][:50].T
    x = [(part - middle) @ axes for part in x]
    held = np.arange(len(labels)) % 6 == 0
    return {"support vectors on 50 principal components": partial(vectors, x, labels, answers, held, most=10_000),
            "1-nearest neighbour on 50 principal components": partial(neighbour, x, labels, answers)}


def points(run):
    points, attributes, labels = lidar.scan_of(run)
    along = (points[:, 0] - points[:, 0].min()) / np.ptp(points[:, 0])
    west = along < 0.7
    five = np.zeros((len(points), 3 + attributes.shape[1]))
    for part in (west, ~west):
        five[part] = lidar.features(points[part], attributes[part])
    around = neighbourhood(points, five, west)
    return {f"random forest on {what}": partial(labelled, [x[west], x[~west]], labels[west], labels[~west])
            for what, x in (("the U-Net's five inputs", five), ("these and those of the points around", around))}


def neighbourhood(points, inputs, west):
    """Return the inputs of each point with mean, deviation, least and most of 16 and 64 points around, a part apart."""
    from scipy.spatial import cKDTree

    found = [inputs]
    for k in (16, 64):
        near = np.empty((len(points), k), np.int64)
        for part in (west, ~west):
            items = np.flatnonzero(part)
            near[items] = items[cKDTree(points[items] * (1, 1, 2)).query(points[items] * (1, 1, 2), k)[1]]
        found += [of(inputs[near], axis=1) for of in (np.mean, np.std, np.min, np.max)]
    return np.concatenate(found, 1)


# The classifiers.


def outcome(answers, truth, setting, began):
    wrong = np.flatnonzero(answers != truth)
    return {"error": len(wrong) / len(truth), "wrong": wrong.tolist(), "n": len(truth), "setting": setting,
            "seconds": round(time.process_time() - began, 1)}


def vectors(x, labels, truth, held, *, rest=True, most=None):
    """Support vectors with a Gaussian kernel; `rest`: the held-out items are trained on, too, once C is chosen."""
    from sklearn.svm import SVC

    began, kept = time.process_time(), np.flatnonzero(~held)[:most]
    tried = {c: np.mean(SVC(C=c).fit(x[0][kept], labels[kept]).predict(x[0][held]) != labels[held]) for c in C}
    c = min(tried, key=tried.get)
    fitted = SVC(C=c).fit(*((x[0], labels) if rest else (x[0][~held], labels[~held])))
    return outcome(fitted.predict(x[1]), truth, f"C = {c:g} of {', '.join(f'{one:g}' for one in C)}", began)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def neighbour(x, labels, truth):
    began, length = time.process_time(), (x[0]**2).sum(1)
    near = np.concatenate([(length - 2 * part @ x[0].T).argmin(1) for part in np.array_split(x[1], 20)])
    return outcome(labels[near], truth, "nothing", began)


def perceptron(x, labels, truth):
    from sklearn.neural_network import MLPClassifier

    began = time.process_time()
    net = MLPClassifier((256, 256), batch_size=100, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0)
    return outcome(net.fit(x[0], labels).predict(x[1]), truth, f"nothing; {EPOCHS} epochs", began)


def forest(x, labels, truth):
    from sklearn.ensemble import RandomForestClassifier

    began = time.process_time()
    trees = RandomForestClassifier(300, random_state=0).fit(x[0], labels)
    return outcome(trees.predict(x[1]), truth, "nothing; 300 trees", began)


def labelled(x, labels, truth):
    """A random forest for points, judged by the mean intersection over union as the U-Net is."""
    from sklearn.ensemble import RandomForestClassifier

    began = time.process_time()
    trees = RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced_subsample", random_state=0)
    matrix = confusion_matrix(trees.fit(x[0], labels).predict(x[1]), truth, 3)
    return {"value": 100 * mean_iou(matrix), "confusion": matrix.tolist(), "n": len(truth),
            "setting": "nothing; 100 trees of leaves of 5", "seconds": round(time.process_time() - began, 1)}


if __name__ == "__main__":
    main()
