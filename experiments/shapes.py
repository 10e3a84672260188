"""Shapes in space on the cubic and the tetrahedral lattice: errors and costs of the same family of networks."""

from importlib.util import find_spec

import numpy as np
from experiment import Experiment
from figures import in_space
from solids import KINDS, solid

import spconv_cy as sp
from spconv_cy import plot
from spconv_cy.train.metrics import roc_auc

LATTICES = {"cubic": sp.Lattice.cubic(3), "tetrahedral": sp.Lattice.simplex(3)}
CHANNELS, VIEWS = 16, 12


def main():
    parser = Experiment.parser(__doc__, data="folder with adrenal3d.npz, or MedMNIST's own adrenalmnist3d.npz "
                               "(AdrenalMNIST3D of MedMNIST v2, Yang et al. 2023, CC BY 4.0); else solids of a seed")
    options = parser.parse_args()
    path = next((options.data / name for name in ("adrenal3d.npz", "adrenalmnist3d.npz")
                 if options.data and (options.data / name).exists()), None)
    run = Experiment.of("shapes" if path else "solids", options)
    task = Adrenal(run, path) if path else Solids(run)
    print(task.title, flush=True)
    rows = task.references()
    for i, name in enumerate(LATTICES):
        found = [run.once(f"{name} {seed}", lambda name=name, seed=seed: trained(run, task, name, seed))
                 for seed in range(run.seed, run.seed + run.pick(3, 1, 1))]
        rows.insert(i, [f"DeepC2({task.levels[name]}, {CHANNELS}), {name}",
                     *(f"{found[0][key]:,.0f}" for key in ("parameters", "sites", "sparse", "dense")),
                     *(mean([f[key] for f in found], scale) for key, scale in
                       (("error", 100), ("mean error", 100), ("area", 1)))])
    print(run.table(f"{task.title}, {task.epochs} epochs; mean (and range) of seeds", [
        "network", "parameters", "sites a shape", "multiply-adds a shape", "dense", "test error, 1 view, %",
        f"{VIEWS} views, %", "area under the curve"], rows))
    picture(run, task)


class Adrenal:
    """Voxels of adrenal glands; settings were chosen on fold 2 only."""

    levels, batch, rate = {"cubic": 4, "tetrahedral": 5}, 25, 0.001
    cell, volume, motion = 1.0, 1 / 8, sp.data.Motion(turn=0.3, linear=0.1, shift=2)

    def __init__(self, run, path):
        self.all, self.classes, self.epochs = sp.readers.read_voxels(path), 2, run.pick(30, 12, 1)
        self.title, self.most = "AdrenalMNIST3D", run.pick(None, 400, 30)

    def part(self, fold):
        voxels, labels = (part[:self.most] for part in self.all.part(fold))
        return [sp.data.voxel_points(v) - np.array(self.all.size) / 2 for v in voxels], labels

    def references(self):
        """Return rows without a network: the larger class, and support vectors on counts."""
        (voxels, labels), (tests, answers) = self.all.part(0), self.all.part(1)
        rows = [("always the larger class", np.mean(answers != np.bincount(labels).argmax()), 0.5)]
        if find_spec("sklearn"):
            from sklearn.svm import SVC
            counts = [np.stack([np.histogramdd(v, (7,) * 3, [(0, n) for n in self.all.size])[0].ravel() for v in part])
                      for part in (voxels, tests)]
            score = SVC(C=10).fit(counts[0], labels).decision_function(counts[1])
            rows.append(("support vectors on counts in 7^3 boxes", np.mean((score > 0) != answers),
                         roc_auc(np.stack([-score, score], 1), answers)))
        return [[name, "", "", "", "", f"{100 * wrong:.1f}", "", f"{area:.3f}"] for name, wrong, area in rows]


class Solids:
    """Surfaces of six kinds of solids, stretched and rotated at random."""

    levels, batch, rate = {"cubic": 3, "tetrahedral": 4}, 20, 0.002
    cell, volume, motion = 1 / 9, None, sp.data.Motion(linear=0.1, shift=0.1)

    def __init__(self, run):
        self.classes, self.epochs, self.each = len(KINDS), run.pick(20, 10, 1), run.pick((100, 40), (40, 15), (3, 3))
        self.title = (f"Without --data FOLDER, of adrenal3d.npz (MedMNIST v2, CC BY 4.0), solids of a seed, "
                      f"{6 * self.each[0]} to train on: {', '.join(KINDS)}")

    def part(self, fold):
        labels = np.tile(np.arange(6), self.each[fold])
        return [solid(KINDS[c], (fold, i)).surface(0.4 * self.cell) for i, c in enumerate(labels)], labels

    def references(self):
        return []


def batches(task, name, fold):
    return sp.data.ShapeBatches(*task.part(fold), 2**(task.levels[name] + 2) - 2, cell=task.cell,
                                lattice=LATTICES[name],
                           augment=task.motion, volume=task.volume, outside="drop", batch=task.batch)


def trained(run, task, name, seed):
    net = sp.models.deepc2(task.levels[name], CHANNELS, classes=task.classes, d=LATTICES[name], rng=seed)
    run.fit(f"{name}-{seed}", net, batches(task, name, 0), sp.Adam(net.parameters(), task.rate), task.epochs,
            schedule="cosine", rng=seed)
    test = batches(task, name, 1)
    x, many = next(test.epoch(0, training=False))[0], sp.evaluate(net, test, run.pick(VIEWS, VIEWS, 2))
    n, summary = x.grid.samples, net.eval().summary(x)
    return {"parameters": net.n_parameters(), "sites": x.grid.n / n, "sparse": summary.pair_multiply_adds / n,
            "dense": summary.dense_multiply_adds / n, "error": sp.evaluate(net, test).error, "mean error": many.error,
            "area": roc_auc(many.outputs, many.labels)}


def mean(values, scale):
    middle, least, most = (f"{scale * f(values):.{1 if scale == 100 else 3}f}" for f in (np.mean, min, max))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


def picture(run, task):
    tensors = {}
    for name in LATTICES:
        x = next(batches(task, name, 1).epoch(0, training=False))[0]
        low, high = x.grid.batch_starts[3:5]
        tensors[f"{name} lattice, {high - low:,} sites"] = x
    figure = plot.figure(8, 4)
    in_space(figure, tensors, 5, sample=3)
    run.picture("shape", figure, "One view of one shape on both lattices, the nearer the brighter.")


if __name__ == "__main__":
    main()
