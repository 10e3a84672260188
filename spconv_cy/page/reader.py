"""What the page asks: strokes to the ten best answers, and to the active sites that the network saw on its way."""

import threading
import time
from pathlib import Path

import numpy as np

from spconv_cy.autograd import no_grad
from spconv_cy.data.pen_digits import as_digit
from spconv_cy.errors import FileError, ShapeError
from spconv_cy.estimator import SparseConvClassifier
from spconv_cy.layers.container import Sequential
from spconv_cy.plot import layer_by_layer
from spconv_cy.tensor import SparseTensor

SHIPPED = Path(__file__).parents[1] / "data" / "digits_model.safetensors"
BEST = 10


class Reader:
    """Reads characters with a trained classifier; calls from several threads take turns.

    Args:
        classifier: SparseConvClassifier that was trained.
        prepare: function of a character, brings it to the form of the data that the classifier was trained on.
    """

    def __init__(self, classifier, prepare=None):
        self.classifier, self.prepare = classifier, prepare or (lambda character: character)
        self._turn = threading.Lock()
        self.read([[(0.0, 0.0), (1.0, 1.0)]])                            # the first pass is slower: not the user's

    @classmethod
    def of_file(cls, path=None):
        """Read with a model file that `SparseConvClassifier.save` wrote; None: the digits' model of the package.

        Raises:
            FileNotFoundError: there is no such file.
            FileError: it is damaged, or holds no classifier of characters.
        """
        classifier = SparseConvClassifier.load(SHIPPED if path is None else path)
        try:
            return cls(classifier, as_digit if path is None else None)
        except (ShapeError, ValueError) as error:
            raise FileError(f"{path}: its classifier does not read characters ({error})") from error

    def read(self, strokes):
        """Return {"answers": [[label, probability], ...], "layers": [...], "milliseconds": ...} of JSON values.

        The answers are the ten most probable, best first; a layer is {"name", "size", "planes", "sites"}, the sites as
        x, y, x, y, ... in a field of size x size; only layers that move the sites are listed, the input first.

        Args:
            strokes: a list of (n, 2) arrays or lists, x right, y down; none: no answers.

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

    def _layers(self, character):
        net, encoder = self.classifier.net_.eval(), self.classifier.encoder_
        x = SparseTensor.from_sites(*encoder.sites([character]), size=(encoder.size,) * 2, samples=1)
        tensors = layer_by_layer(net, x) if isinstance(net, Sequential) else [x]
        names = [layer.notation() for layer in getattr(net, "layers", []) if hasattr(layer, "window")]
        names = ["input", *names, *[""] * len(tensors)]
        return [{"name": name, "size": int(x.grid.size[0]), "planes": x.channels,
                 "sites": x.sites[:, 1:].ravel().tolist()} for x, name in zip(tensors, names, strict=False)]
