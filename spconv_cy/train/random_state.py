"""Random states as JSON values, and what is asked of one before a generator takes it."""

import numpy as np

from spconv_cy.train.history import is_count

# numpy takes any number for these, and reads beside its arrays where one of the first two is larger.
MOST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "uinteger": 2**32 - 1}


def plain(state):
    """Return a bit generator's state with lists for arrays and Python's numbers for numpy's."""
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def check_random_state(name, state, bit_generator):
    """Raise TypeError or ValueError where JSON values are not the state of a bit generator of the same kind."""
    who, mine = f"random state {name}", plain(bit_generator.state)
    _check_like(who, state, mine)
    if type(bit_generator).__module__.partition(".")[0] == "numpy":
        for key, value in [*state.items(), *(state["state"].items() if isinstance(state["state"], dict) else ())]:
            if key in MOST and value > MOST[key]:
                raise ValueError(f"{who}: expected {key} from 0 to {MOST[key]}, got {value!r:.60}")
            if key == "inc" and not value % 2:
                raise ValueError(f"{who}: expected inc to be odd, got {value!r:.60}")


def _check_like(who, value, like):
    if isinstance(like, dict):
        if not isinstance(value, dict) or set(value) != set(like):
            raise ValueError(f"{who}: expected {sorted(like)}, got {value!r:.80}")
        for name in like:
            _check_like(f"{who}, {name}", value[name], like[name])
    elif isinstance(like, list):
        if not isinstance(value, list) or len(value) != len(like):
            raise ValueError(f"{who}: expected a list of {len(like)}, got {value!r:.80}")
        for item, other in zip(value, like, strict=True):
            _check_like(who, item, other)
    elif isinstance(like, str):
        if value != like:
            raise ValueError(f"{who}: expected {like!r}, got {value!r:.80}")
    elif type(like) is int:
        if not is_count(value):
            raise ValueError(f"{who}: expected a whole number from 0 up, got {value!r:.80}")
    elif type(value) is not type(like):
        raise TypeError(f"{who}: expected a value of type {type(like).__name__}, got {value!r:.80}")
