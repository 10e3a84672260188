"""Answers for the handwriting page: strokes to the ten best answers, and the active sites of the network's layers."""

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
from spconv_cy.estimators.classifier import SparseConvClassifier
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.intermediate import tensors_by_grid
from spconv_cy.tensor import SparseTensor

if TYPE_CHECKING:
    from spconv_cy.types import ArrayLike, PathLike

SHIPPED = Path(__file__).parents[1] / "data" / "digits_model.safetensors"
BEST = 10


class Reader:
    """Reads characters with a trained classifier; calls from several threads take turns.

    Args:
        classifier: trained SparseConvClassifier.
        prepare: function that brings a character to the form of the classifier's training data; None: no change.
    """

    def __init__(self, classifier: SparseConvClassifier,
                 prepare: Callable[[Sequence[ArrayLike]], Sequence[ArrayLike]] | None = None) -> None:
        self.classifier, self.prepare = classifier, prepare or (lambda character: character)
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
        try:
            return cls(classifier, partial(as_digit, aspect=True) if path is None else None)
        except (ShapeError, ValueError) as error:
            raise FileError(expected(f"{path}", "a classifier that reads characters", f"another one ({error})")
                            ) from error

    def read(self, strokes: Sequence[ArrayLike]) -> dict[str, object]:
        """Return the answers, the layers and the time for a character, as JSON values.

        Args:
            strokes: a list of (n, 2) arrays or lists, x to the right, y down; without strokes there are no answers.

        Returns:
            {"answers": [[label, probability], ...], "layers": [...], "milliseconds": a number}. The answers are the ten
            most probable, best first. A layer is {"name", "size", "planes", "sites"}, with the sites as x, y, x, y, ...
            in a field of size x size. The layers are the input and those that move the sites.

        Raises:
            ShapeError, ValueError: as Characters.pack.
        """
        began = time.perf_counter()
        if not len(strokes):
            return {"answers": [], "layers": [], "milliseconds": 0.0}
        with self._turn, no_grad():
            character = self.prepare(strokes)
            shares = self.classifier.predict_proba([character])[0]
            best = np.argsort(-shares, kind="stable")[:BEST]
            answers = [[str(self.classifier.classes_[i]), float(shares[i])] for i in best]
            layers = self._layers(character)
        return {"answers": answers, "layers": layers, "milliseconds": 1000 * (time.perf_counter() - began)}

    def _layers(self, character: Sequence[ArrayLike]) -> list[dict[str, object]]:
        net, encoder = self.classifier.net_.eval(), self.classifier.encoder_
        sites, features = encoder.sites([character])
        x = SparseTensor.from_sites(sites, features, size=(encoder.size,) * 2, samples=1)
        tensors = tensors_by_grid(net, x) if isinstance(net, Sequential) else [x]
        names = [layer.notation() for layer in getattr(net, "layers", []) if hasattr(layer, "window")]
        names = ["input", *names, *[""] * len(tensors)]
        return [{"name": name, "size": int(x.grid.size[0]), "planes": x.channels,  # type: ignore[index]
                 "sites": x.sites[:, 1:].ravel().tolist()} for x, name in zip(tensors, names, strict=False)]
