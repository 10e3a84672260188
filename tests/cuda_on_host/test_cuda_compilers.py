"""What comes of PyPI: NVIDIA's compilers, for a machine without nvcc, and CuPy, beside which the stand-in is held."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import compilers
import cupy_on_host
import pytest

ROOT = Path(__file__).resolve().parents[2]

LOG = """ptxas info    : Compiling entry function 'one' for 'sm_80'
ptxas info    : Used 24 registers, used 1 barriers, 512 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_80'
ptxas info    : Used 8 registers, used 0 barriers, 380 bytes cmem[0]
"""


def test_registers_and_shared_memory_are_read_of_the_log():
    assert compilers.taken(LOG, "float") == {"one": (24, 512), "two": (8, 0)}
    assert compilers.taken(LOG, "Half") == {"one, Half": (24, 512), "two, Half": (8, 0)}


@pytest.mark.slow
def test_the_compilers_of_the_wheels_do_where_the_machine_has_none(monkeypatch):
    which = shutil.which
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None if name == "nvcc" else which(name))
    try:
        assert "cuda_wheels" in compilers.nvcc()
        compilers.installed("nvidia-cuda-nvrtc>=13,<14", "libnvrtc.so.1*")
    except subprocess.CalledProcessError:
        pytest.skip("needs PyPI")
    form = "pool.cu", "float"
    by = [compile(form, 80) for compile in (compilers.compile_by_nvcc, compilers.compile_by_nvrtc)]
    assert set(by[0]) == set(by[1]) == {"max_pool", "max_pool_dx", "sum_pool"}
    bad = compilers.KEPT / "bad.cu"
    bad.write_text('extern "C" __global__ void bad(float* x) { int nothing; x[0] = 1.f; }')
    with pytest.raises(RuntimeError, match="nvcc, bad.cu, sm_80:(.|\\n)*never referenced"):
        compilers.nvcc_log(bad, 80)


ASKED = """
import json, sys
import cupy
functions, methods, of_cuda = json.loads(sys.argv[1])
lacking = [name for name in functions if not hasattr(cupy, name)]
lacking += [f"ndarray.{name}" for name in methods if not hasattr(cupy.ndarray, name)]
lacking += [f"cuda.{name}" for name in of_cuda if name != "cublas" and not hasattr(cupy.cuda, name)]
lacking += [name for name in ("record", "wait_event", "synchronize") if not hasattr(cupy.cuda.Stream, name)]
if not issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError):
    lacking.append("OutOfMemoryError, a MemoryError")
import spconv_cy
try:
    spconv_cy.use("cuda")
    said = "it runs"
except spconv_cy.BackendError as error:
    said = str(error)
print(json.dumps([lacking, cupy.ndarray.__module__.split(".")[0], cupy.cuda.is_available(), said]))
"""


@pytest.mark.slow
def test_the_stand_in_has_no_name_that_cupy_lacks_and_cupy_without_a_gpu_is_refused():
    try:
        wheel = compilers.installed(compilers.CUPY, "cupy/__init__.py").parents[1]
    except subprocess.CalledProcessError:
        pytest.skip("needs PyPI")
    stand_in = [sorted(cupy_on_host.FUNCTIONS), sorted(cupy_on_host.METHODS), sorted(vars(cupy_on_host.cuda))]
    done = subprocess.run([sys.executable, "-c", ASKED, json.dumps(stand_in)], text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(wheel)])})
    assert done.returncode == 0, done.stderr[-2000:]
    lacking, home, has_gpu, said = json.loads(done.stdout.splitlines()[-1])
    assert lacking == [] and home == "cupy"
    assert has_gpu or re.match(r"cuda backend: expected a usable NVIDIA GPU, got none \(CuPy 14", said)
