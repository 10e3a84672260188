"""Train the model of digits that comes with the package and that `spconv-cy page` uses."""

import argparse
from pathlib import Path

import spconv_cy as sp


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="1000 digits and 2 epochs: seconds")
    parser.add_argument("--model", type=Path, default=Path("digits_model.safetensors"), help="where to save it")
    options = parser.parse_args()
    (train, labels), (test, test_labels) = sp.data.digits_split(0)
    n, epochs = (1000, 2) if options.small else (len(train), 24)
    encoder = sp.data.StrokeEncoder("octogram", size=48, scale=16)
    classifier = sp.SparseConvClassifier(l=4, k=20, encoding=encoder, augment="mild", epochs=epochs, rate=0.005,
                                         verbose=True, random_state=0)
    classifier.fit(train[:n], labels[:n])
    print(f"test error: {100 * (1 - classifier.score(test, test_labels)):.2f} %")
    classifier.save(options.model)
    print(f"{options.model}: {options.model.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
