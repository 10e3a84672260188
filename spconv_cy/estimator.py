"""SparseConvClassifier: handwriting in, labels out, by scikit-learn's conventions and without scikit-learn."""

import copy
import inspect
from dataclasses import fields, is_dataclass

import numpy as np

from spconv_cy.autograd import Tensor, no_grad
from spconv_cy.backend.host import hosted
from spconv_cy.checks import as_array, as_list, is_integer, is_one_of
from spconv_cy.data.augment import Affine
from spconv_cy.data.augment import from_name as distortion
from spconv_cy.data.batch import StrokeBatches
from spconv_cy.data.strokes import Characters, StrokeEncoder
from spconv_cy.dlpack import without_mask
from spconv_cy.errors import FileError, NotFittedError, ShapeError
from spconv_cy.io.archive import BROKEN
from spconv_cy.io.file import load_with_extra, save
from spconv_cy.layers.layer import Layer
from spconv_cy.models.deepcnets import deepcnet, deepcnin
from spconv_cy.models.spec import from_spec
from spconv_cy.train.evaluation import probabilities
from spconv_cy.train.label import classes_of, labels_from_json, labels_to_json
from spconv_cy.train.loop import fit
from spconv_cy.train.optim import Adam
from spconv_cy.train.schedule import Constant, Cosine, Exponential, Steps, WarmUp

SAVED = {kind.__name__: kind for kind in (Affine, Constant, Cosine, Exponential, Steps, StrokeEncoder, WarmUp)}
FIELD = 48  # sites along each side that a network without a field of its own is given at least


class SparseConvClassifier:
    """Classify characters written with a pen by a spatially-sparse network, trained by Adam.

    Args:
        net: "deepcnet" or "deepcnin" (of l and k), a notation such as "32C3-MP2-64C2-output", or a Layer that takes the
            encoding's planes and gives (b, classes); a Layer is copied before it is trained.
        l, k: levels and channels of a named network.
        encoding: "octogram" or another name that StrokeEncoder knows, drawn into a third of the network's field; or a
            StrokeEncoder.
        augment: "affine", "mild", "translation", "none", or an Affine.
        epochs: passes over the characters.
        batch: characters in a step.
        rate: of Adam.
        schedule: "cosine", "exponential", "constant", or a function of the epoch that gives a factor.
        verbose: show a bar.
        random_state: int or numpy Generator; None: another run each time.
        repeats: passes that a prediction averages over, for nets that draw when tested (fractional max-pooling).

    Characters are a list, each a list of (n, 2) arrays, one a stroke, x right, y down; labels are any hashable.

    Attributes:
        classes_: (classes,) the labels, sorted where they can be; net_, encoder_, history_: what was trained, and how.

    >>> characters = [[[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]]] * 4
    >>> classifier = SparseConvClassifier(l=1, k=4, augment="none", epochs=20, random_state=0)
    >>> classifier.fit(characters, ["across", "down"] * 4).predict(characters[:2]).tolist()
    ['across', 'down']
    """

    _estimator_type = "classifier"

    def __init__(self, net="deepcnet", l=5, k=30, encoding="octogram", augment="affine", epochs=20, batch=100,
                 rate=0.003, schedule="cosine", verbose=False, random_state=None, repeats=1):
        self.net, self.l, self.k, self.encoding, self.augment = net, l, k, encoding, augment
        self.epochs, self.batch, self.rate, self.schedule = epochs, batch, rate, schedule
        self.verbose, self.random_state, self.repeats = verbose, random_state, repeats

    def fit(self, X, y):
        """Train on characters X and labels y; return self.

        Raises:
            ShapeError: characters that are no lists of (n, 2) arrays, labels of another length, a net that does not
                fit.
            ValueError: NaN or infinite points, fewer than two classes, arguments out of range.
            TypeError: labels that are not hashable.
        """
        characters = _packed("fit", X)
        classes, numbers = classes_of(y, len(characters), "SparseConvClassifier.fit")
        rng = _generator(self.random_state)
        net, encoder = self._made(len(classes), rng)
        encoder = encoder.fit(characters) if encoder.factors is None else encoder
        _check_outputs(net, encoder, len(classes))
        augment = "none" if is_one_of(self.augment, (None, "")) else self.augment
        data = StrokeBatches(characters, numbers, encoder, batch=self.batch, augment=distortion(augment))
        history = fit(net, data, Adam(net.parameters(), self.rate), self.epochs, schedule=self.schedule, rng=rng,
                      progress=self.verbose)
        self.net_, self.encoder_, self.classes_, self.history_ = net, encoder, classes, history
        return self

    def predict_proba(self, X):
        """Return the probabilities (n, classes) of characters, columns in the order of `classes_`.

        Raises:
            NotFittedError: before fit.
            ShapeError, ValueError: characters as for fit.
        """
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("SparseConvClassifier: predict came before fit; call fit(characters, labels), or load "
                                 "a classifier that was saved")
        characters = _packed("predict", X)
        if not len(characters):
            return np.zeros((0, len(self.classes_)), np.float32)
        return probabilities(self.net_, StrokeBatches(characters, None, self.encoder_, batch=self.batch), self.repeats)

    def predict(self, X):
        """Return the most probable label (n,) of each character; arguments and errors as for predict_proba."""
        numbers = self.predict_proba(X).argmax(1)                        # first, for it asks whether there are classes
        return self.classes_[numbers]

    def score(self, X, y, sample_weight=None):
        """Return the share of characters X whose label in y is predicted; `sample_weight` (n,) counts them unevenly."""
        without_mask(y, "SparseConvClassifier.score: y")
        predicted = self.predict(X)
        labels = as_list("SparseConvClassifier.score", hosted(y), "labels, one for each character")
        if len(labels) != len(predicted):
            raise ShapeError(f"SparseConvClassifier.score: {len(labels)} labels came for {len(predicted)} characters; "
                             "one for each fits")
        if not labels:
            raise ShapeError("SparseConvClassifier.score: no characters came; at least one fits")
        if any(isinstance(label, (np.ndarray, list)) or hasattr(label, "requires_grad") for label in labels):
            raise ShapeError("SparseConvClassifier.score: labels of several numbers each came; one label for each "
                             "character fits")
        if sample_weight is not None:
            sample_weight = as_array("SparseConvClassifier.score: sample_weight", sample_weight)
            if sample_weight.shape != (len(labels),) or sample_weight.dtype.kind not in "iufb":
                raise ShapeError(f"SparseConvClassifier.score: sample_weight {sample_weight.shape} of "
                                 f"{sample_weight.dtype} came; ({len(labels)},) numbers fit")
        right = [bool(a == b) for a, b in zip(predicted, labels, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def save(self, path):
        """Write the trained classifier to one .safetensors file; `load` of the library reads its network alone.

        Raises:
            NotFittedError: before fit.
            TypeError: a label or an argument that cannot be saved; labels of numbers, text, None, tuples can.
        """
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("SparseConvClassifier: save came before fit; call fit(characters, labels)")
        arguments = {name: _to_json(name, value) for name, value in self.get_params().items() if name != "net"}
        arguments["net"] = self.net if isinstance(self.net, str) else None
        save(path, self.net_, {"classifier": arguments, "encoder": _to_json("encoder", self.encoder_),
                               "classes": labels_to_json(self.classes_)})

    @classmethod
    def load(cls, path, layers=()):
        """Read a classifier that `save` wrote. Where `net` was a Layer, it is now a copy of the trained one.

        Args:
            path: of the file.
            layers: your own layer classes that the network holds.

        Raises:
            FileNotFoundError: there is no such file.
            FileError: it is damaged, foreign, of a newer version, or holds no classifier.
        """
        net, extra = load_with_extra(path, layers)
        if not isinstance(extra, dict) or set(extra) != {"classifier", "encoder", "classes"}:
            raise FileError(f"{path}: a network came that no classifier saved; spconv_cy.load reads it")
        try:
            arguments = {name: _from_json(value) for name, value in extra["classifier"].items()}
            arguments["net"] = copy.deepcopy(net) if arguments["net"] is None else arguments["net"]
            found = cls(**arguments)
            found.encoder_, found.classes_ = _from_json(extra["encoder"]), labels_from_json(extra["classes"])
            if not isinstance(found.encoder_, StrokeEncoder):
                raise TypeError("the encoder is none")
            _check_outputs(net, found.encoder_, len(found.classes_))
        except BROKEN as error:
            raise FileError(f"{path}: the classifier in it cannot be made ({error}); the file is damaged: fetch or "
                            "make it again") from error
        found.net_ = net
        return found

    @classmethod
    def trained(cls, net, encoder, classes):
        """Return a classifier of a network that was trained without one, such as by `fit` with a checkpoint.

        Args:
            net: Layer that gives (b, classes); it is not copied.
            encoder: the StrokeEncoder that drew what it was trained on.
            classes: different labels, in the order of the outputs.

        Raises:
            ShapeError: the three do not fit each other.
            TypeError, ValueError: net or encoder is none; labels that are not hashable, not different, fewer than two.
        """
        if not isinstance(net, Layer) or not isinstance(encoder, StrokeEncoder):
            raise TypeError(f"SparseConvClassifier.trained: {type(net).__name__} and {type(encoder).__name__} came; a "
                            "Layer and a StrokeEncoder fit")
        labels, numbers = classes_of(classes, len(classes), "SparseConvClassifier.trained")
        if len(labels) != len(numbers):
            raise ValueError(f"SparseConvClassifier.trained: {len(numbers)} classes came, {len(labels)} of them "
                             "different; all different fit")
        found = cls(net=net, encoding=encoder)
        found.net_, found.encoder_, found.classes_ = net, encoder, labels[numbers]
        _check_outputs(net, encoder, len(labels))
        return found

    def get_params(self, deep=True):
        """Return the constructor's arguments by name."""
        return {name: getattr(self, name) for name in _argument_names(type(self))}

    def set_params(self, **arguments):
        """Change constructor arguments; return self.

        Raises:
            ValueError: a name that is none of them.
        """
        names = _argument_names(type(self))
        for name in arguments:
            if name not in names:
                raise ValueError(f"SparseConvClassifier.set_params: {name!r} came; {', '.join(names)} fit")
        for name, value in arguments.items():
            setattr(self, name, value)
        return self

    def _made(self, classes, rng):
        """Return a network for the classes, not trained, and the encoder that draws for it, without factors."""
        drawn = isinstance(self.encoding, StrokeEncoder)
        encoder = self.encoding if drawn else StrokeEncoder(self.encoding)
        planes, d = encoder.planes, encoder.dimension
        named = {"deepcnet": deepcnet, "deepcnin": deepcnin}
        if isinstance(self.net, Layer):
            net = copy.deepcopy(self.net)
        elif not isinstance(self.net, str):
            raise TypeError(f"SparseConvClassifier: net {self.net!r} came; 'deepcnet', 'deepcnin', a notation such as "
                            "'32C3-MP2-64C2-output', or a Layer fits")
        elif self.net in named:
            net = named[self.net](self.l, self.k, planes, classes, d=d, rng=rng)
        else:
            net = from_spec(self.net, planes, d, classes=classes, rng=rng)
        if drawn:
            return net, self.encoding
        size = _field(net, 1 if self.net in named else FIELD, d)
        return net, StrokeEncoder(self.encoding, size=size, scale=size / 3)

    def __repr__(self):
        defaults = {name: value.default for name, value in inspect.signature(type(self)).parameters.items()}
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name]
                   and repr(value) != repr(defaults[name])]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True), transformer_tags=None,
                    classifier_tags=ClassifierTags(), regressor_tags=None, input_tags=InputTags(two_d_array=False))


def _packed(who, characters):
    try:
        return Characters.pack(characters)
    except ShapeError as error:
        raise ShapeError(f"SparseConvClassifier.{who}: {error}") from None
    except ValueError as error:
        raise ValueError(f"SparseConvClassifier.{who}: {error}") from None


def _generator(random_state):
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31))
    if random_state is None or isinstance(random_state, (int, np.integer, np.random.Generator)) and not (
            is_integer(random_state) and random_state < 0):
        return np.random.default_rng(random_state)
    raise ValueError(f"SparseConvClassifier: random_state {random_state!r} came; a whole number from 0 up, a numpy "
                     "Generator or None fits")


def _field(net, least, d):
    """Return the smallest square or cubic field, from `least` sites on, that the network takes."""
    sizes = (net.input_size((n,) * d) for n in range(1, least + 2))
    for size in sizes:
        if min(size) == max(size) >= least:
            return int(size[0])
    raise ShapeError(f"SparseConvClassifier: a net with the field {size} came; a square one of {least} sites or more "
                     "fits: give encoding=StrokeEncoder(size=...)")


def _check_outputs(net, encoder, classes):
    was_training = net.training
    try:
        x = StrokeBatches([[[(0.0, 0.0)]]], None, encoder).prepare(0, 0, False)(np.zeros(1, np.int64))
        with no_grad():
            outputs = net.eval()(x)
    except ShapeError as error:
        raise ShapeError(f"SparseConvClassifier: no characters of {encoder} fit the net ({error}); give a net for "
                         f"{encoder.planes} channels, and encoding=StrokeEncoder(size=...) of its field") from error
    finally:
        net.train(was_training)
    if not isinstance(outputs, Tensor) or outputs.shape != (1, classes):
        came = f"outputs {outputs.shape}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ShapeError(f"SparseConvClassifier: the net gave {came} for one character of {classes} classes; (1, "
                         f"{classes}) fits: end it with GlobalPooling() and NetworkInNetwork(channels, {classes})")


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
    raise TypeError(f"SparseConvClassifier.save: {name}={value!r} cannot be saved; set_params({name}=None) drops it")


def _from_json(value):
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    return SAVED[value["class"]](**{name: _from_json(item) for name, item in value["arguments"].items()})
