"""All 70,000 MNIST digits: template matching, a perceptron, LeNet-5 sparse and dense, and fractional max-pooling."""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import spconv_cy as sp
from spconv_cy.data.readers.mnist import mnist

NETS = ("templates", "mlp", "lenet5", "deepcnet", "fmp")
EPOCHS = {"mlp": 20, "lenet5": 20, "deepcnet": 20, "fmp": 30}


def main():
    options = arguments()
    (pictures, labels), (tests, test_labels) = digits_of(options)
    print(f"{len(labels)} digits to train on, {len(test_labels)} to test on")
    for name in options.nets:
        began = time.perf_counter()
        if name == "templates":
            errors = {"1 view": templates(pictures, labels, tests, test_labels)}
        elif name == "mlp":
            errors = {"1 view": perceptron(options, pictures, labels, tests, test_labels)}
        else:
            errors = sparse(options, name, pictures, labels, tests, test_labels)
        seconds = time.perf_counter() - began
        record(options, name, errors, seconds)
        print(f"{name}: {', '.join(f'{100 * e:.2f} % with {views}' for views, e in errors.items())} ({seconds:.0f} s)")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join(NETS)}; by default all")
    parser.add_argument("--data", type=Path, default=Path("build/mnist"), help="folder with MNIST, or with the wheel")
    parser.add_argument("--epochs", type=int, help="passes over the training digits")
    parser.add_argument("--views", type=int, default=12, help="tests of a network that draws its regions anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a run of seconds: 1000 digits, 2 epochs")
    parser.add_argument("--log", type=Path, default=Path("mnist"), help="folder of checkpoints and figures")
    options = parser.parse_args()
    wrong = set(options.nets) - set(NETS)
    if wrong:
        parser.error(f"{', '.join(sorted(wrong))} came; {', '.join(NETS)} fit")
    options.nets = options.nets or list(NETS)
    return options


def digits_of(options):
    try:
        parts = mnist(options.data)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error
    most = (1000, 500) if options.small else (None, None)
    return [(pictures[:n], labels[:n]) for (pictures, labels), n in zip(parts, most, strict=True)]


def templates(pictures, labels, tests, test_labels):
    """Handel's machine of 1931: light through the mean digit's mask; the mask that lets most through wins."""
    masks = np.stack([pictures[labels == c].mean(0).ravel() for c in range(10)])
    masks /= np.linalg.norm(masks, axis=1, keepdims=True)
    return float(np.mean((tests.reshape(len(tests), -1) @ masks.T).argmax(1) != test_labels))


def perceptron(options, pictures, labels, tests, test_labels):
    net = sp.mlp((784, 800, 800, 10), rng=options.seed)
    rows, test_rows = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (pictures, tests))
    train = [(sp.Tensor(rows[i:i + 100]), labels[i:i + 100]) for i in range(0, len(rows), 100)]
    trained(options, "mlp", net, train)
    return sp.evaluate(net, [(sp.Tensor(test_rows), test_labels)]).error


def sparse(options, name, pictures, labels, tests, test_labels):
    net = {"lenet5": lambda: sp.lenet5(rng=options.seed), "deepcnet": lambda: sp.deepcnet(4, 20, 1, rng=options.seed),
           "fmp": lambda: sp.fractional_cnn(6, 32, rng=options.seed)}[name]()
    size = net.input_size()
    size = size if isinstance(size, int) else size[0]
    shift = min(2, (size - 28) // 2) if name != "lenet5" else 0
    trained(options, name, net, sp.PictureBatches(pictures, labels, size, shift=shift))
    test = sp.PictureBatches(tests, test_labels, size)
    summary = net.eval().summary(next(test.epoch(0, training=False))[0])
    print(f"{name}: {net.n_parameters():,} parameters; multiply-adds a digit {summary.pair_multiply_adds // 100:,} by "
          f"pairs, {summary.dense_multiply_adds // 100:,} dense")
    views = {1, options.views} if name == "fmp" else {1}
    return {f"{n} view{'s' * (n > 1)}": sp.evaluate(net, test, repeats=n).error for n in sorted(views)}


def trained(options, name, net, data):
    """Train, or go on where a run was stopped: the checkpoint is beside the figures."""
    options.log.mkdir(parents=True, exist_ok=True)
    epochs = options.epochs or (2 if options.small else EPOCHS[name])
    sp.fit(net, data, sp.Adam(net.parameters(), 0.002), epochs, schedule="cosine", rng=options.seed,
           checkpoint=options.log / f"{name}-{options.seed}.safetensors")


def record(options, name, errors, seconds):
    """Keep the figures in one file, a line a network."""
    options.log.mkdir(parents=True, exist_ok=True)
    path = options.log / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures[name] = {"errors": errors, "seconds": round(seconds), "seed": options.seed, "small": options.small}
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
