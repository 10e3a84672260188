"""CuPy of PyPI beside the stand-in: signatures, and all that it answers without a GPU."""

import importlib.util
import inspect
import json
import os
import subprocess
import sys

import compilers
import cupy_on_host
import cupy_signatures
import protocols
import pytest

WIDER = {"matmul"}                                                       # CuPy's takes more; the library gives two


@pytest.fixture(scope="module")
def said():
    """What CuPy says for itself: the installed one, else PyPI's, in build/."""
    paths = [str(compilers.KEPT.parents[1])]
    if importlib.util.find_spec("cupy") is None:
        try:
            paths.append(str(compilers.installed(compilers.CUPY, "cupy/__init__.py").parents[1]))
        except (subprocess.CalledProcessError, IndexError):
            pytest.skip(f"CuPy is not installed, and PyPI gave no wheel of {compilers.CUPY} for this Python")
    done = subprocess.run([sys.executable, protocols.__file__], text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_functions_and_methods_of_the_stand_in_have_the_signatures_of_cupy(said):
    _, functions, methods, _ = said
    for mine, theirs in ((cupy_signatures.SIGNATURES, functions), (cupy_signatures.METHOD_SIGNATURES, methods)):
        for name, found in mine.items():
            if name not in WIDER:
                assert json.loads(json.dumps(protocols.shown(found))) == theirs[name], name
    for name in cupy_signatures.FUNCTIONS.keys() & vars(cupy_on_host):                   # those written out
        assert inspect.signature(getattr(cupy_on_host, name)) == cupy_signatures.SIGNATURES[name], name
    for name in cupy_signatures.METHODS.keys() & vars(cupy_on_host.ndarray):
        found = protocols.shown(inspect.signature(getattr(cupy_on_host.ndarray, name)))
        assert json.loads(json.dumps(found)) == methods[name], name


@pytest.mark.slow
def test_what_the_library_gives_to_streams_modules_and_dlpack_is_what_cupy_takes(said):
    rest = {name: {parameter for parameter, *_ in parameters} for name, parameters in said[3].items()}
    assert "non_blocking" in rest["Stream"] and {"code", "options"} <= rest["RawModule"]
    assert "event" in rest["wait_event"] and "allocator" in rest["using_allocator"] and "name" in rest["get_function"]
    mine = protocols.shown(inspect.signature(cupy_on_host.ndarray.__dlpack__))
    assert json.loads(json.dumps(mine)) == said[3]["__dlpack__"]


@pytest.mark.slow
def test_the_stand_in_answers_and_refuses_as_cupy_does(said):
    mine = protocols.answers(cupy_on_host, cupy_on_host.asarray)
    assert said[0].keys() == mine.keys()
    for case, theirs in said[0].items():
        assert theirs in (protocols.ON_THE_GPU, mine[case]), f"{case}: CuPy {theirs}, the stand-in {mine[case]}"
    assert sum(theirs != protocols.ON_THE_GPU for theirs in said[0].values()) > 40
