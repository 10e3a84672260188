"""The compilers of NVIDIA's wheels, which stand in for a machine's nvcc, and what is read of their logs."""

import shutil
import subprocess

import compilers
import pytest

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
