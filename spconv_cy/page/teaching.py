"""Signs that the page's user teaches it: a few drawings of each, a classifier trained in seconds, its file."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spconv_cy.estimators import SparseConvClassifier
from spconv_cy.page.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Stroke = Sequence[Sequence[float]]
    Drawing = Sequence[Stroke]

BATCH = 10
MOST_STEPS, MOST_EPOCHS = 500, 60                   # 5 signs of 5 drawings take a second or two


class Teacher:
    """Trains a Reader on drawings of a user's own signs, and keeps it.

    Attributes:
        reader: Reader of the signs; None before the first training.
        file: the classifier as SparseConvClassifier.save writes it; None before the first training.
    """

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.file: bytes | None = None
        self._training = threading.Lock()

    @property
    def busy(self) -> bool:
        """True while a training runs."""
        return self._training.locked()

    def teach(self, signs: Mapping[str, Sequence[Drawing]]) -> dict[str, object] | None:
        """Train on the drawings of each sign, and return what was learned; None if another training runs.

        Args:
            signs: {name: drawings}, two signs or more, each drawing a list of strokes.

        Returns:
            {"labels": [...], "drawings": their number, "seconds": a number}.

        Raises:
            ShapeError, ValueError: as Characters.pack.
        """
        if not self._training.acquire(blocking=False):
            return None
        try:
            began = time.perf_counter()
            drawings = [drawing for several in signs.values() for drawing in several]
            labels = [name for name, several in signs.items() for _ in several]
            steps = -(-len(drawings) // BATCH)
            classifier = SparseConvClassifier(l=4, k=12, augment="mild", rate=0.005, batch=BATCH, random_state=0,
                                              epochs=max(8, min(MOST_EPOCHS, MOST_STEPS // steps)))
            classifier.fit(drawings, labels)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "signs.safetensors")
                classifier.save(path)
                self.file = path.read_bytes()
            self.reader = Reader(classifier)
            return {"labels": list(signs), "drawings": len(drawings), "seconds": time.perf_counter() - began}
        finally:
            self._training.release()
