"""Answers for the handwriting page: strokes to the best answers, and the active sites of the network's layers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.autograd import no_grad
from spconv_cy.data.pen_digits import as_digit
from spconv_cy.errors import FileError, ShapeError, expected
from spconv_cy.estimators import SparseConvClassifier
from spconv_cy.layers import Sequential
from spconv_cy.layers.intermediate import tensors_by_grid
from spconv_cy.page.known import KnownDigits
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from spconv_cy.types import Array, ArrayLike, PathLike

    Character = Sequence[ArrayLike]

SHIPPED = Path(__file__).parents[1] / "data" / "digits_model.safetensors"
BEST = 3
LEAST_SHARE = 0.5                                   # of the best answer, below which it is not sure


class Reader:
    """Reads characters with a trained classifier; calls from several threads take turns.

    Args:
        classifier: trained SparseConvClassifier.
        prepare: function that brings a character to the form of the classifier's training data; None: no change.
        is_unlike: function that returns True for a character that is none of those that the classifier reads; None:
            only a low probability is a doubt.
        what: what the classifier reads, for the page; None: its classes are shown.
    """

    def __init__(self, classifier: SparseConvClassifier, prepare: Callable[[Character], Character] | None = None,
                 is_unlike: Callable[[Character], bool] | None = None, what: str | None = None) -> None:
        self.classifier, self.prepare = classifier, prepare or (lambda character: character)
        self.is_unlike, self.what = is_unlike or (lambda character: False), what
        self._turn = threading.Lock()
        self.read([[(0.0, 0.0), (1.0, 1.0)]])                            # the first pass is slower: before the user's

    @classmethod
    def of_file(cls, path: PathLike | None = None) -> Reader:
        """Return a Reader with a model that `SparseConvClassifier.save` wrote; None: the package's model of digits.

        Raises:
            FileNotFoundError: there is no such file.
            FileError: it is damaged, or contains no classifier of characters.
        """
        classifier = SparseConvClassifier.load(SHIPPED if path is None else path)
        if path is None:
            return cls(classifier, partial(as_digit, aspect=True), KnownDigits().is_unlike, "a digit")
        try:
            return cls(classifier)
        except (ShapeError, ValueError) as error:
            raise FileError(expected(f"{path}", "a classifier that reads characters", f"another one ({error})")
                            ) from error

    def about(self) -> dict[str, object]:
        """Return {"what": what it reads or None, "labels": [...]}, as JSON values."""
        return {"what": self.what, "labels": [str(label) for label in self.classifier.classes_]}

    def read(self, strokes: Character) -> dict[str, object]:
        """Return the answers, the layers and the time for a character, as JSON values.

        Args:
            strokes: a list of (n, 2) arrays or lists, x to the right, y down; without strokes there are no answers.

        Returns:
            {"answers": [[label, probability], ...], "sure": bool, "layers": [...], "milliseconds": a number}. The
            answers are the three most probable, best first; sure is False if the character is unlike those that the
            classifier reads, or the best answer is improbable. A layer is {"name", "size", "planes", "sites",
            "activity"}, with the sites as x, y, x, y, ... in a field of size x size, and for each site the length of
            its features less the ground state, from 0 to 255. The layers are the input and those that move the sites.

        Raises:
            ShapeError, ValueError: as Characters.pack.
        """
        began = time.perf_counter()
        if not len(strokes):
            return {"answers": [], "sure": False, "layers": [], "milliseconds": 0.0}
        with self._turn, no_grad():
            character = self.prepare(strokes)
            shares = self.classifier.predict_proba([character])[0]
            best = np.argsort(-shares, kind="stable")[:BEST]
            answers = [[str(self.classifier.classes_[i]), float(shares[i])] for i in best]
            sure = bool(shares[best[0]] >= LEAST_SHARE) and not self.is_unlike(strokes)
            layers = self._layers(character)
        return {"answers": answers, "sure": sure, "layers": layers,
                "milliseconds": 1000 * (time.perf_counter() - began)}

    def _layers(self, character: Character) -> list[dict[str, object]]:
        net, encoder = self.classifier.net_.eval(), self.classifier.encoder_
        sites, features = encoder.sites([character])
        x = SparseTensor.from_sites(sites, features, size=(encoder.size,) * 2, samples=1)
        tensors = tensors_by_grid(net, x) if isinstance(net, Sequential) else [x]
        names = [layer.notation() for layer in getattr(net, "layers", []) if hasattr(layer, "window")]
        names = ["input", *names, *[""] * len(tensors)]
        return [{"name": name, "size": int(x.grid.size[0]), "planes": x.channels,  # type: ignore[index]
                 "sites": x.sites[:, 1:].ravel().tolist(), "activity": activity(x).tolist()}
                for x, name in zip(tensors, names, strict=False)]


def activity(x: SparseTensor) -> Array:
    """Return the length of each site's features less the ground state, (n,) whole numbers, 255 the largest."""
    ground = 0 if x.ground is None else x.ground.numpy()
    lengths = np.sqrt(((x.features.numpy() - ground) ** 2).sum(1))
    return np.round(255 * lengths / max(float(lengths.max(initial=0)), 1e-30)).astype(np.int64)
