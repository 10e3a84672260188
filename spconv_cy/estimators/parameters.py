"""Constructor arguments of estimators, by scikit-learn's conventions; scikit-learn is not needed."""

from __future__ import annotations

import html
import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from spconv_cy.checks import is_integer
from spconv_cy.errors import NotFittedError, expected

if TYPE_CHECKING:
    from sklearn.utils import Tags

Self = TypeVar("Self", bound="Parameters")
RandomState: TypeAlias = int | np.random.Generator | np.random.RandomState | None
TABLE = "<table>{}</table>"
ROW = "<tr><td>{}</td><td>{}</td></tr>"


class Parameters:
    """Base of estimators: the constructor stores its arguments under their names and does nothing else."""

    _estimator_type = "classifier"
    random_state: RandomState

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the constructor's arguments by name; `deep` has no effect."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: Self, **arguments: object) -> Self:
        """Change constructor arguments, and return self.

        Raises:
            ValueError: an argument that the constructor does not have.
        """
        names = list(inspect.signature(type(self)).parameters)
        for name in arguments:
            if name not in names:
                raise ValueError(expected(f"{type(self).__name__}.set_params", f"arguments among {', '.join(names)}",
                                          f"{name!r}"))
        for name, value in arguments.items():
            setattr(self, name, value)
        return self

    def _changed(self) -> dict[str, object]:
        defaults = {name: value.default for name, value in inspect.signature(type(self)).parameters.items()}
        return {name: value for name, value in self.get_params().items() if value is not defaults[name]
                and repr(value) != repr(defaults[name])}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._changed().items())})"

    def _repr_html_(self) -> str:
        changed = self._changed()
        rows = "".join(ROW.format(f"<b>{name}</b>" if name in changed else name, html.escape(repr(value)[:200]))
                       for name, value in self.get_params().items())
        state = "fitted" if self.__sklearn_is_fitted__() else "not fitted"
        return f"<details><summary>{html.escape(repr(self)[:200])}, {state}</summary>{TABLE.format(rows)}</details>"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classifies = self._estimator_type == "classifier"
        return Tags(estimator_type=self._estimator_type, transformer_tags=None,
                    target_tags=TargetTags(required=True, multi_output=not classifies),
                    classifier_tags=ClassifierTags() if classifies else None,
                    regressor_tags=None if classifies else RegressorTags(),
                    input_tags=InputTags(two_d_array=self._takes_tables()))

    def _takes_tables(self) -> bool:
        """Return whether X may be one array (n, columns) of numbers."""
        return False

    def _check_fitted(self, method: str) -> None:
        if self.__sklearn_is_fitted__():
            return
        kind: Any = NotFittedError
        theirs = getattr(sys.modules.get("sklearn.exceptions"), "NotFittedError", None)
        if theirs is not None:                                           # who catches scikit-learn's gets it
            kind = type("NotFittedError", (NotFittedError, theirs), {})
        raise kind(expected(f"{type(self).__name__}.{method}", f"a fitted {self._noun()}", "one before fit",
                            f"call fit(X, y), or load a saved {self._noun()}"))

    @classmethod
    def _noun(cls) -> str:
        return cls.__name__.removeprefix("SparseConv").lower()

    def _generator(self) -> np.random.Generator:
        """Return the Generator of random_state."""
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            state = int(state.randint(2**31))
        if state is None or isinstance(state, np.random.Generator):
            return np.random.default_rng(state)
        if isinstance(state, (int, np.integer)) and not (is_integer(state) and state < 0):
            return np.random.default_rng(state)
        raise ValueError(expected(type(self).__name__, "random_state to be a whole number from 0 up, a numpy Generator "
                                  "or None", f"{state!r}"))
