"""Handwriting: train a classifier of pen strokes, save it, load it, and let it read strokes of your own."""

import tempfile
from pathlib import Path

import numpy as np

import spconv_cy as sp

# 10,992 pen digits come with the package. A character is a list of strokes, a stroke an (n, 2) array of pen positions,
# x to the right and y down.
(train, labels), (test, test_labels) = sp.data.digits_split(0)

classifier = sp.SparseConvClassifier(l=3, k=12, augment="mild", epochs=6, rate=0.01, random_state=0)
classifier.fit(train[:2000], labels[:2000])
accuracy = classifier.score(test, test_labels)
print(f"test accuracy: {100 * accuracy:.1f} % of {len(test):,} digits")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "digits.safetensors")
    classifier.save(path)
    print(f"saved: {path.stat().st_size:,} bytes")
    loaded = sp.SparseConvClassifier.load(path)

angles = np.linspace(0, 2 * np.pi, 40)
zero = [np.column_stack([-np.sin(angles), -1.5 * np.cos(angles)])]       # one closed stroke, from the top, to the left
seven = [np.array([(-1, -1), (1, -1), (-0.4, 1.5)])]                     # one stroke with a corner
answers = loaded.predict([zero, seven])
shares = loaded.predict_proba([zero, seven]).max(1)
for drawn, answer, share in zip(("zero", "seven"), answers, shares, strict=True):
    print(f"a drawn {drawn} is read as {answer}, probability {share:.2f}")
