"""Fragments by a second route: another library's layouts against the shim's mma and the kernels' index functions."""

import cupy_on_host as cupy
import numpy as np
import pytest
from fragments import INSTRUCTIONS

from spconv_cy.cuda import loader

pytestmark = pytest.mark.slow
PROBES = """
extern "C" __global__ void probe_multiply(const unsigned* a, const unsigned* b, float* d) {
  multiply(d + threadIdx.x * 4, a + threadIdx.x * 4, b + threadIdx.x * 2);
}
// places (32, 6, 4): row and word of a, column and word of b, row and column of d
extern "C" __global__ void probe_places(int* places) {
  const int lane = threadIdx.x;
  for (int i = 0; i < 4; i++) {
    int* at = places + lane * 24 + i;
    at[0] = a_row(lane, i); at[4] = a_word(lane, i);
    at[8] = b_column(lane); at[12] = b_word(lane, i);
    at[16] = d_row(lane, i); at[20] = d_column(lane, i);
  }
}
"""
# The instruction, the type of features, the architecture that has it, and how many make one multiply().
FORMS = [("SM80_16x8x16_F32F16F16F32_TN", "Half", "80", 1), ("SM80_16x8x8_F32TF32TF32F32_TN", "float", "80", 1),
         ("SM75_16x8x8_F32F16F16F32_TN", "Half", "75", 2)]


@pytest.fixture(params=FORMS, ids=lambda form: form[0])
def form(request, cuda, monkeypatch):
    name, real, architecture, times = request.param
    monkeypatch.setenv("SHIM_ARCH", architecture)
    return INSTRUCTIONS[name], cupy.RawModule(loader.source("conv_mma.cu", real) + PROBES), real, times


def registers(matrix, layout, packed):
    """Give a matrix to the lanes: (32, registers) uint32, the value of the lower number in the lower bits."""
    values = np.ascontiguousarray(matrix[layout.places(len(matrix))])
    kind = np.float16 if packed == 2 else np.float32
    return values.astype(kind).view(np.uint32)


def test_the_shim_multiplies_matrices_that_are_laid_out_by_the_second_source(form, rng):
    instruction, module, _, times = form
    a, b = rng.integers(-8, 9, (16, instruction.depth * times)), rng.integers(-8, 9, (8, instruction.depth * times))
    parts = [slice(i * instruction.depth, (i + 1) * instruction.depth) for i in range(times)]
    held = [np.concatenate([registers(whole[:, part], layout, instruction.packed) for part in parts], axis=1)
            for whole, layout in ((a, instruction.a), (b, instruction.b))]
    d = cupy.asarray(np.zeros((32, 4), np.float32))
    module.get_function("probe_multiply")((1,), (32,), (*map(cupy.asarray, held), d))
    found = np.zeros((16, 8))
    found[instruction.d.places(16)] = d.get()
    assert np.array_equal(found, a @ b.T)                                # whole numbers: no rounding


def test_the_kernels_read_and_write_where_the_second_source_says(form):
    instruction, module, real, times = form
    places = cupy.asarray(np.zeros((32, 6, 4), np.int32))
    module.get_function("probe_places")((1,), (32,), (places,))
    a_row, a_word, b_column, b_word, d_row, d_column = places.get().swapaxes(0, 1)
    packed = instruction.packed
    assert packed == {"Half": 2, "float": 1}[real]

    def check(layout, rows, line, word, count):
        row, column = (np.concatenate([part + (i * instruction.depth if deep else 0) for i in range(times)], axis=1)
                       for deep, part in enumerate(layout.places(rows)))
        assert np.array_equal(np.repeat(line[:, :count], packed, axis=1), row)
        along = np.repeat(word[:, :count] * packed, packed, axis=1) + np.tile(np.arange(packed), count)
        assert np.array_equal(along, column)

    check(instruction.a, 16, a_row, a_word, 4)
    check(instruction.b, 8, b_column, b_word, 2)
    row, column = instruction.d.places(16)
    assert np.array_equal(d_row, row) and np.array_equal(d_column, column)
