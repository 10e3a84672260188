"""SparseConvClassifier, a classifier of handwriting with scikit-learn's interface; scikit-learn is not needed."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.switch import hosted
from spconv_cy.checks import as_array, as_list, is_integer, is_one_of
from spconv_cy.data import Affine, Characters, StrokeBatches, StrokeEncoder
from spconv_cy.data.augment import from_name as distortion
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import FileError, NotFittedError, ShapeError, expected
from spconv_cy.io.archive import BROKEN
from spconv_cy.io.file import load_with_extra, save
from spconv_cy.layers.layer import Layer
from spconv_cy.models import deepcnet, deepcnin, from_spec
from spconv_cy.train import Adam, Constant, Cosine, Exponential, History, Steps, WarmUp, fit, predict_probabilities
from spconv_cy.train.label import classes_of, labels_from_json, labels_to_json

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from spconv_cy.train.schedule import Schedule
    from spconv_cy.types import Array, ArrayLike, FloatArray, PathLike

    RandomState: TypeAlias = int | np.random.Generator | np.random.RandomState | None
    Strokes: TypeAlias = Characters | Sequence[Sequence[ArrayLike]]

SAVED: dict[str, Any] = {kind.__name__: kind for kind in (Affine, Constant, Cosine, Exponential, Steps, StrokeEncoder,
                                                       WarmUp)}
FIELD = 48                                         # smallest side of the field for a network that does not determine it


@known_arguments
class SparseConvClassifier:
    """Classifier of pen-written characters: a spatially-sparse network, trained with Adam.

    Characters are a list; each is a list of strokes, (n, 2) arrays with x to the right and y down. Labels are hashable.

    Args:
        net: "deepcnet" or "deepcnin" (with l and k), a notation such as "32C3-MP2-64C2-output", or a Layer that takes
            the encoding's planes and returns (b, classes). A Layer is copied before it is trained.
        l, k: levels and channels of "deepcnet" and "deepcnin".
        encoding: "octogram" or another name that StrokeEncoder knows; characters are drawn into a third of the
            network's field. Or a StrokeEncoder.
        augment: "affine", "mild", "translation", "none", or an Affine.
        epochs: number of passes over the characters.
        batch: number of characters in a step.
        rate: of Adam.
        schedule: "cosine", "exponential", "constant", or a function of the epoch that returns a factor.
        verbose: show a bar.
        random_state: int or numpy Generator; None: another run each time.
        repeats: number of passes that a prediction averages, for networks that draw random numbers in evaluation mode
            (fractional max-pooling).

    Attributes:
        classes_: (classes,) the labels, sorted if they can be compared.
        net_: the trained network.
        encoder_: the StrokeEncoder that draws its input.
        history_: History of the training.

    >>> characters = [[[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]]] * 4
    >>> classifier = SparseConvClassifier(l=1, k=4, augment="none", epochs=20, random_state=0)
    >>> classifier.fit(characters, ["across", "down"] * 4).predict(characters[:2]).tolist()
    ['across', 'down']
    """

    _estimator_type = "classifier"
    classes_: Array
    net_: Layer
    encoder_: StrokeEncoder
    history_: History

    def __init__(self, net: str | Layer = "deepcnet", l: int = 5, k: int = 30,
                 encoding: str | StrokeEncoder = "octogram", augment: str | Affine | None = "affine", epochs: int = 20,
                 batch: int = 100, rate: float = 0.003, schedule: str | Schedule | None = "cosine",
                 verbose: bool | int = False, random_state: RandomState = None, repeats: int = 1) -> None:
        self.net, self.l, self.k, self.encoding, self.augment = net, l, k, encoding, augment
        self.epochs, self.batch, self.rate, self.schedule = epochs, batch, rate, schedule
        self.verbose, self.random_state, self.repeats = verbose, random_state, repeats

    @known_arguments
    def fit(self, X: Strokes, y: Iterable[object]) -> SparseConvClassifier:
        """Train on characters X with labels y, and return self.

        Raises:
            ShapeError: characters that are not lists of (n, 2) arrays, another number of labels, or a network that
                does not fit.
            ValueError: NaN or infinite points, fewer than two classes, or arguments out of range.
            TypeError: labels that are not hashable.
        """
        characters = _packed("fit", X)
        classes, numbers = classes_of(y, len(characters), "SparseConvClassifier.fit")
        rng = _generator(self.random_state)
        net, encoder = self._made(len(classes), rng)
        encoder = encoder.fit(characters) if encoder.factors is None else encoder
        _check_outputs(net, encoder, len(classes))
        augment = "none" if self.augment is None or is_one_of(self.augment, ("",)) else self.augment
        data = StrokeBatches(characters, numbers, encoder, batch=self.batch, augment=distortion(augment))
        history = fit(net, data, Adam(net.parameters(), self.rate), self.epochs, schedule=self.schedule, rng=rng,
                      progress=self.verbose)
        self.net_, self.encoder_, self.classes_, self.history_ = net, encoder, classes, history
        return self

    @known_arguments
    def predict_proba(self, X: Strokes) -> FloatArray:
        """Return the probabilities (n, classes) of characters, with columns in the order of `classes_`.

        Raises:
            NotFittedError: before fit.
            ShapeError, ValueError: characters as for fit.
        """
        self._check_fitted("predict")
        characters = _packed("predict", X)
        if not len(characters):
            return np.zeros((0, len(self.classes_)), np.float32)
        batches = StrokeBatches(characters, None, self.encoder_, batch=self.batch)
        return predict_probabilities(self.net_, batches, self.repeats)

    @known_arguments
    def predict(self, X: Strokes) -> Array:
        """Return the most probable label (n,) of each character.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict_proba.
        """
        numbers = self.predict_proba(X).argmax(1)                        # first, since it checks that there are classes
        return self.classes_[numbers]

    @known_arguments
    def score(self, X: Strokes, y: Iterable[object], sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of characters X whose label in y is predicted.

        Args:
            X: characters.
            y: their labels (n,).
            sample_weight: (n,) weights of the characters; None: equal weights.

        Raises:
            NotFittedError, ShapeError, ValueError: as for predict_proba; labels or weights that do not fit.
        """
        without_mask(y, "SparseConvClassifier.score: y")
        predicted = self.predict(X)
        labels = _checked_labels(y, len(predicted))
        weights = None if sample_weight is None else _checked_weights(sample_weight, len(labels))
        right = [bool(a == b) for a, b in zip(predicted, labels, strict=True)]
        return float(np.average(right, weights=weights))

    @known_arguments
    def save(self, path: PathLike) -> None:
        """Write the trained classifier to one .safetensors file. `spconv_cy.load` reads its network alone.

        Raises:
            NotFittedError: before fit.
            TypeError: a label or an argument that cannot be saved. Labels may be numbers, text, None and tuples of
                them.
        """
        self._check_fitted("save")
        arguments = {name: _to_json(name, value) for name, value in self.get_params().items() if name != "net"}
        arguments["net"] = self.net if isinstance(self.net, str) else None
        save(path, self.net_, {"classifier": arguments, "encoder": _to_json("encoder", self.encoder_),
                               "classes": labels_to_json(self.classes_)})

    def _check_fitted(self, method):
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(expected(f"SparseConvClassifier.{method}", "a fitted classifier", "one before fit",
                                          "call fit(characters, labels), or load a saved classifier"))

    @classmethod
    @known_arguments
    def load(cls, path: PathLike, layers: Iterable[type[Layer]] | type[Layer] = ()) -> SparseConvClassifier:
        """Read a classifier that `save` wrote. If its `net` was a Layer, `net` is now a copy of the trained network.

        Args:
            path: of the file.
            layers: your own layer classes in the network.

        Raises:
            FileNotFoundError: there is no such file.
            FileError: it is damaged, of another format or a newer version, or contains no classifier.
        """
        net, extra = load_with_extra(path, layers)
        if not isinstance(extra, dict) or set(extra) != {"classifier", "encoder", "classes"}:
            raise FileError(expected(f"{path}", "a file of SparseConvClassifier.save", "a network without a classifier",
                                     "read it with spconv_cy.load"))
        try:
            arguments = {name: _from_json(value) for name, value in extra["classifier"].items()}
            arguments["net"] = copy.deepcopy(net) if arguments["net"] is None else arguments["net"]
            found = cls(**arguments)
            found.encoder_, found.classes_ = _from_json(extra["encoder"]), labels_from_json(extra["classes"])
            if not isinstance(found.encoder_, StrokeEncoder):
                raise TypeError(expected("encoder", "a StrokeEncoder", type(found.encoder_).__name__))
            _check_outputs(net, found.encoder_, len(found.classes_))
        except BROKEN as error:
            raise FileError(expected(f"{path}", "a classifier", f"values that make none ({error})", "the file is "
                                     "damaged: copy it again, or save the classifier again")) from error
        found.net_ = net
        return found

    @classmethod
    def trained(cls, net: Layer, encoder: StrokeEncoder, classes: Sequence[object] | Array) -> SparseConvClassifier:
        """Return a classifier with a network that was trained in another way, such as by `fit` with a checkpoint.

        Args:
            net: Layer that returns (b, classes); it is not copied.
            encoder: the StrokeEncoder that drew the network's training data.
            classes: different labels, in the order of the outputs.

        Raises:
            ShapeError: the three do not fit each other.
            TypeError: net is not a Layer, encoder is not a StrokeEncoder, or a label is not hashable.
            ValueError: labels that are not different, or fewer than two.
        """
        if not isinstance(net, Layer) or not isinstance(encoder, StrokeEncoder):
            raise TypeError(expected("SparseConvClassifier.trained", "a Layer and a StrokeEncoder",
                                     f"{type(net).__name__} and {type(encoder).__name__}"))
        labels, numbers = classes_of(classes, len(classes), "SparseConvClassifier.trained")
        if len(labels) != len(numbers):
            raise ValueError(expected("SparseConvClassifier.trained", "classes that are all different",
                                      f"{len(numbers)} classes, {len(labels)} of them different"))
        found = cls(net=net, encoding=encoder)
        found.net_, found.encoder_, found.classes_ = net, encoder, labels[numbers]
        _check_outputs(net, encoder, len(labels))
        return found

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the constructor's arguments by name; `deep` has no effect."""
        return {name: getattr(self, name) for name in _argument_names(type(self))}

    def set_params(self, **arguments: object) -> SparseConvClassifier:
        """Change constructor arguments, and return self.

        Raises:
            ValueError: an argument that the constructor does not have.
        """
        names = _argument_names(type(self))
        for name in arguments:
            if name not in names:
                raise ValueError(expected("SparseConvClassifier.set_params", f"arguments among {', '.join(names)}",
                                          f"{name!r}"))
        for name, value in arguments.items():
            setattr(self, name, value)
        return self

    def _made(self, classes: int, rng: np.random.Generator) -> tuple[Layer, StrokeEncoder]:
        """Return an untrained network for the classes, and the encoder that draws its input."""
        encoder = self.encoding if isinstance(self.encoding, StrokeEncoder) else StrokeEncoder(self.encoding)
        planes, d = encoder.planes, encoder.dimension
        named = {"deepcnet": deepcnet, "deepcnin": deepcnin}
        if isinstance(self.net, Layer):
            net = copy.deepcopy(self.net)
        elif not isinstance(self.net, str):
            raise TypeError(expected("SparseConvClassifier", "net to be 'deepcnet', 'deepcnin', a notation such as "
                                     "'32C3-MP2-64C2-output', or a Layer", f"{self.net!r}"))
        elif self.net in named:
            net = named[self.net](self.l, self.k, planes, classes, d=d, rng=rng)
        else:
            net = from_spec(self.net, planes, d, classes=classes, rng=rng)
        if isinstance(self.encoding, StrokeEncoder):
            return net, encoder
        size = _field(net, 1 if self.net in named else FIELD, d)
        return net, StrokeEncoder(self.encoding, size=size, scale=size / 3)

    def __repr__(self) -> str:
        defaults = {name: value.default for name, value in inspect.signature(type(self)).parameters.items()}
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name]
                   and repr(value) != repr(defaults[name])]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True), transformer_tags=None,
                    classifier_tags=ClassifierTags(), regressor_tags=None, input_tags=InputTags(two_d_array=False))


def _packed(who: str, characters: Strokes) -> Characters:
    try:
        return Characters.pack(characters)
    except ShapeError as error:
        raise ShapeError(f"SparseConvClassifier.{who}: {error}") from None
    except ValueError as error:
        raise ValueError(f"SparseConvClassifier.{who}: {error}") from None


def _checked_labels(y, n):
    """Return the labels of n characters as a list, for score."""
    who = "SparseConvClassifier.score"
    labels = as_list(who, hosted(y), "labels, one for each character")
    if len(labels) != n:
        raise ShapeError(expected(who, f"{n} labels, one for each character", len(labels)))
    if not labels:
        raise ShapeError(expected(who, "at least one character", "none"))
    if any(isinstance(label, (np.ndarray, list)) or hasattr(label, "requires_grad") for label in labels):
        raise ShapeError(expected(who, "one label for each character", "labels of several numbers"))
    return labels


def _checked_weights(sample_weight, n):
    who = "SparseConvClassifier.score"
    weights = as_array(f"{who}: sample_weight", sample_weight)
    if weights.shape != (n,) or weights.dtype.kind not in "iufb":
        raise ShapeError(expected(who, f"sample_weight ({n},), numbers", f"{weights.shape} of {weights.dtype}"))
    return weights


def _generator(random_state: RandomState) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31))
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, (int, np.integer)) and not (is_integer(random_state) and random_state < 0):
        return np.random.default_rng(random_state)
    raise ValueError(expected("SparseConvClassifier", "random_state to be a whole number from 0 up, a numpy Generator "
                              "or None", f"{random_state!r}"))


def _field(net, least, d):
    """Return the side of the smallest square or cubic field of at least `least` sites that the network takes."""
    sizes = (net.input_size((n,) * d) for n in range(1, least + 2))
    for size in sizes:
        if min(size) == max(size) >= least:
            return int(size[0])
    raise ShapeError(expected("SparseConvClassifier", f"a network with a square field of at least {least} sites",
                              f"the field {size}", "give encoding=StrokeEncoder(size=...)"))


def _check_outputs(net: Layer, encoder: StrokeEncoder, classes: int) -> None:
    """Raise ShapeError if the network does not return (1, classes) for a character."""
    was_training = net.training
    try:
        x = StrokeBatches([[[(0.0, 0.0)]]], None, encoder).prepare(0, 0, False)(np.zeros(1, np.int64))
        with no_grad():
            outputs: object = net.eval()(x)
    except ShapeError as error:
        raise ShapeError(expected("SparseConvClassifier", f"a net that takes characters of {encoder}", f"one that "
                                  f"refuses them ({error})", f"give a net for {encoder.planes} channels, and "
                                  "encoding=StrokeEncoder(size=...) of its field")) from error
    finally:
        net.train(was_training)
    if not isinstance(outputs, Tensor) or outputs.shape != (1, classes):
        got = f"outputs {outputs.shape}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ShapeError(expected("SparseConvClassifier", f"outputs (1, {classes}) of the net for one character and "
                                  f"{classes} classes", got, "end the net with GlobalPooling() and "
                                  f"NetworkInNetwork(channels, {classes})"))


def _argument_names(kind):
    return [name for name in inspect.signature(kind).parameters]


def _to_json(name, value):
    if is_dataclass(value) and SAVED.get(type(value).__name__) is type(value):
        arguments = {field.name: _to_json(name, getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, "arguments": arguments}
    if isinstance(value, (tuple, list)):
        return [_to_json(name, item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(expected("SparseConvClassifier.save", f"{name} to be a number, text, None, a list of them, or one "
                             f"of {', '.join(SAVED)}", f"{value!r}", f"leave it out by set_params({name}=None)"))


def _from_json(value):
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    return SAVED[value["class"]](**{name: _from_json(item) for name, item in value["arguments"].items()})
