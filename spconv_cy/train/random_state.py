"""The seed of a run, and random states as JSON values."""

from __future__ import annotations

import numpy as np

from spconv_cy.checks import is_integer
from spconv_cy.errors import expected
from spconv_cy.train.history import is_count

# numpy does not check these numbers; too large values of the first two make it read outside its arrays.
MOST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "uinteger": 2**32 - 1}


def run_seed(who: str, rng: int | np.random.Generator | None) -> int | None:
    """Return the seed of a run: a whole number unchanged, one that a Generator draws, or None.

    Raises:
        ValueError: neither a whole number from 0 up nor a Generator nor None.
    """
    seed = None if rng is None else int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else rng
    if seed is not None and (not is_integer(seed) or seed < 0):
        raise ValueError(expected(who, "rng to be a whole number from 0 up, a numpy Generator or None", f"{rng!r}"))
    return seed


def plain(state: object) -> object:
    """Return a bit generator's state with lists instead of arrays and Python numbers instead of numpy's."""
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def check_random_state(name: str, state: object, bit_generator: np.random.BitGenerator) -> None:
    """Raise an error if JSON values are not the state of a bit generator of this kind.

    Args:
        name: of the generator, as in `Layer.generators()`; for the error.
        state: JSON values, as `plain` returns them.
        bit_generator: that will take the state.

    Raises:
        TypeError, ValueError: the values are not such a state.
    """
    who, mine = f"random state {name}", plain(bit_generator.state)
    _check_like(who, state, mine)
    if type(bit_generator).__module__.partition(".")[0] == "numpy" and isinstance(state, dict):
        for key, value in [*state.items(), *(state["state"].items() if isinstance(state["state"], dict) else ())]:
            if key in MOST and value > MOST[key]:
                raise ValueError(expected(who, f"{key} from 0 to {MOST[key]}", f"{value!r:.60}"))
            if key == "inc" and not value % 2:
                raise ValueError(expected(who, "inc to be odd", f"{value!r:.60}"))


def _check_like(who: str, value: object, like: object) -> None:
    if isinstance(like, dict):
        if not isinstance(value, dict) or set(value) != set(like):
            raise ValueError(expected(who, f"{sorted(like)}", f"{value!r:.80}"))
        for name in like:
            _check_like(f"{who}, {name}", value[name], like[name])
    elif isinstance(like, list):
        if not isinstance(value, list) or len(value) != len(like):
            raise ValueError(expected(who, f"a list of {len(like)}", f"{value!r:.80}"))
        for item, other in zip(value, like, strict=True):
            _check_like(who, item, other)
    elif isinstance(like, str):
        if value != like:
            raise ValueError(expected(who, f"{like!r}", f"{value!r:.80}"))
    elif type(like) is int:
        if not is_count(value):
            raise ValueError(expected(who, "a whole number from 0 up", f"{value!r:.80}"))
    elif type(value) is not type(like):
        raise TypeError(expected(who, f"a value of type {type(like).__name__}", f"{value!r:.80}"))
