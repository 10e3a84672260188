"""Files of estimators: a network, its encoder and the estimator's arguments in one .safetensors file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np

from spconv_cy.checks import kind_of
from spconv_cy.data import Affine, LiftedEncoder, PointAffine, StrokeEncoder
from spconv_cy.errors import FileError, expected
from spconv_cy.estimators.encoders import PointEncoder, SignalEncoder
from spconv_cy.estimators.scene import Scene
from spconv_cy.io.archive import BROKEN
from spconv_cy.io.file import load_with_extra, save
from spconv_cy.layers import Layer
from spconv_cy.train import Constant, Cosine, Exponential, Steps, WarmUp
from spconv_cy.types import PathLike

COLUMNS = "columns"                                 # the entry with the names of X's columns, if they had names
Encoder: TypeAlias = StrokeEncoder | LiftedEncoder | PointEncoder | SignalEncoder
SAVED: dict[str, Any] = {kind.__name__: kind for kind in (
    Affine, Constant, Cosine, Exponential, LiftedEncoder, PointAffine, PointEncoder, Scene, SignalEncoder, Steps,
    StrokeEncoder, WarmUp)}


def save_estimator(path: PathLike, estimator: Any, parts: dict[str, object]) -> None:
    """Write a fitted estimator to a file.

    Args:
        path: of the file.
        estimator: with net_ and get_params.
        parts: dataclasses of SAVED or JSON values by name, what was learnt besides the network.

    Raises:
        TypeError: an argument that cannot be saved.
    """
    name, who = estimator._noun(), type(estimator).__name__
    arguments = {key: to_json(who, key, value) for key, value in estimator.get_params().items() if key != "net"}
    arguments["net"] = estimator.net if isinstance(estimator.net, str) else None
    if hasattr(estimator, "feature_names_in_"):
        parts = {**parts, COLUMNS: list(estimator.feature_names_in_)}
    save(path, estimator.net_, {name: arguments, **{key: to_json(who, key, value) for key, value in parts.items()}})


def load_estimator(kind: Any, path: PathLike, layers: Iterable[type[Layer]] | type[Layer], parts: set[str],
                   finish: Callable[[Any, Layer, dict[str, Any]], None]) -> Any:
    """Return an estimator that `save_estimator` wrote; errors as for `SparseConvClassifier.load`.

    Args:
        kind: class of the estimator.
        path, layers: as for `load`.
        parts: names of the parts.
        finish: function of (estimator, network, parts) that sets what was learnt, and raises an error for parts that do
            not fit.
    """
    net, extra = load_with_extra(path, layers)
    name = kind._noun()
    if not isinstance(extra, dict) or {*extra} - {COLUMNS} != {name, *parts}:
        raise FileError(expected(f"{path}", f"a file of {kind.__name__}.save", f"a network without a {name}",
                                 "read it with spconv_cy.load"))
    try:
        arguments = {key: from_json(value) for key, value in extra[name].items()}
        arguments["net"] = copy.deepcopy(net) if arguments["net"] is None else arguments["net"]
        found = kind(**arguments)
        finish(found, net, extra)
        _set_columns(found, extra.get(COLUMNS))
    except BROKEN as error:
        raise FileError(expected(f"{path}", f"a {name}", f"values that make none ({error})", "the file is damaged: "
                                 f"copy it again, or save the {name} again")) from error
    found.net_ = net
    return found


def _set_columns(estimator: Any, names: Any) -> None:
    """Set what scikit-learn notes of the columns of X, if a file tells their names; raise ValueError for others."""
    if names is None:
        return
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(expected(COLUMNS, "a list of names", f"{names!r:.40}"))
    estimator.n_features_in_, estimator.feature_names_in_ = len(names), np.array(names, object)


def encoder_of(value: Any) -> Encoder:
    """Return the encoder of a JSON value; raise TypeError if it is none."""
    found = from_json(value)
    if not isinstance(found, Encoder):
        raise TypeError(expected("encoder", "a StrokeEncoder or another encoder", kind_of(found)))
    return found


def to_json(who: str, name: str, value: Any) -> Any:
    """Return a number, text, None, a list of them or a dataclass of SAVED as JSON values.

    Raises:
        TypeError: something else.
    """
    if is_dataclass(value) and SAVED.get(type(value).__name__) is type(value):
        arguments = {field.name: to_json(who, name, getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, "arguments": arguments}
    if isinstance(value, (tuple, list)):
        return [to_json(who, name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value) and name in ("classes", "values"):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(expected(f"{who}.save", f"{name} to be a number, text, None, a list of them, or one of "
                             f"{', '.join(SAVED)}", f"{value!r}", f"leave it out by set_params({name}=None)"))


def from_json(value: Any) -> Any:
    """Return what `to_json` was called with, lists as tuples."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    return SAVED[value["class"]](**{name: from_json(item) for name, item in value["arguments"].items()})
