"""Many small cases in one test: a test for each would take most of its time to be counted and reported."""

import copy
import functools
import inspect
import traceback

import pytest


def each(names, cases, ids=None):
    """Return a decorator that runs a test with each case in turn, as pytest.mark.parametrize does in a test for each.

    All cases run; the test fails with the names and the tracebacks of all that fail, and is skipped if all are skipped.
    Fixtures are made once, but a case has its own generator rng, folder tmp_path and monkeypatch.

    Args:
        names: of the arguments, with commas between.
        cases: the values of one name, or a tuple of values for each case.
        ids: what a case is called: a name for each, or a function of a value; by default its number and its values.
    """
    names, cases = [name.strip() for name in names.split(",")], list(cases)
    rows = [(case,) if len(names) == 1 else tuple(case) for case in cases]
    called = ids if ids is None or callable(ids) else list(ids)
    assert rows and (not isinstance(called, list) or len(called) == len(rows))

    def name_of(i):
        if isinstance(called, list):
            return str(called[i])
        return "-".join(map(str, map(called, rows[i]))) if called else f"{i}: {', '.join(map(shown, rows[i]))}"

    def in_one(test):
        @functools.wraps(test)
        def whole(**fixtures):
            __tracebackhide__ = True
            failed, skipped = {}, []
            for i, row in enumerate(rows):
                with pytest.MonkeyPatch.context() as patch:
                    try:
                        test(**own(fixtures, patch, i), **dict(zip(names, row, strict=True)))
                    except pytest.skip.Exception as reason:
                        skipped.append(str(reason))
                    except (Exception, SystemExit, pytest.fail.Exception):
                        failed[i] = traceback.format_exc()
            if failed:
                head = f"{len(failed)} of {len(rows)} cases: {'; '.join(map(name_of, failed))}"
                told = [f"case {name_of(i)}\n{how}" for i, how in list(failed.items())[:10]]
                pytest.fail("\n".join([head, *told]), pytrace=False)
            if len(skipped) == len(rows):
                pytest.skip(skipped[0])

        signature = inspect.signature(test)
        others = [taken for name, taken in signature.parameters.items() if name not in names]
        whole.__signature__ = signature.replace(parameters=others)
        return whole

    return in_one


def shown(value):
    """Return a value's text, or the beginning of a long one."""
    return f"{value!r:.80}"


def own(fixtures, patch, i):
    """Return the fixtures of a test as its case i gets them."""
    mine = dict(fixtures)
    if "rng" in mine:
        mine["rng"] = copy.deepcopy(mine["rng"])
    if "tmp_path" in mine:
        mine["tmp_path"] = mine["tmp_path"] / str(i)
        mine["tmp_path"].mkdir()
    if "monkeypatch" in mine:
        mine["monkeypatch"] = patch
    return mine
