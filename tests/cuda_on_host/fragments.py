"""How the registers of a warp hold the matrices of an mma, from a second source, as shapes and strides.

Numbers from the MMA_Traits of NVIDIA's CUTLASS (CuTe), include/cute/atom/mma_traits_sm75.hpp and mma_traits_sm80.hpp at
https://github.com/NVIDIA/cutlass, under BSD-3-Clause: Copyright (c) 2023 - 2026 NVIDIA CORPORATION & AFFILIATES.
They are written down here as they stand there, and neither the kernels nor the shim were made from them.

A layout maps (lane, value) to a place of a matrix that is stored by columns: A and D have 16 rows, B, by its n, 8.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Shapes and strides of a lane and of a value; each number is taken apart from its fastest digit on."""

    lane: tuple
    value: tuple
    lane_strides: tuple
    value_strides: tuple

    def places(self, rows):
        """Return (row, column), each (32, values): where a value of a lane stands in a matrix of so many rows."""
        lane = _strided(32, self.lane, self.lane_strides)
        value = _strided(int(np.prod(self.value)), self.value, self.value_strides)
        place = lane[:, None] + value
        return place % rows, place // rows


@dataclass(frozen=True)
class Instruction:
    """An mma of 16 x 8 numbers, `depth` deep, `packed` numbers to a register."""

    depth: int
    packed: int
    a: Layout
    b: Layout
    d: Layout


ROWS = Layout((4, 8), (2, 2), (32, 1), (16, 8))
INSTRUCTIONS = {
    "SM80_16x8x16_F32F16F16F32_TN": Instruction(
        16, 2, Layout((4, 8), (2, 2, 2), (32, 1), (16, 8, 128)), Layout((4, 8), (2, 2), (16, 1), (8, 64)), ROWS),
    "SM80_16x8x8_F32TF32TF32F32_TN": Instruction(
        8, 1, Layout((4, 8), (2, 2), (16, 1), (8, 64)), Layout((4, 8), (2,), (8, 1), (32,)), ROWS),
    "SM75_16x8x8_F32F16F16F32_TN": Instruction(
        8, 2, Layout((4, 8), (2, 2), (32, 1), (16, 8)), Layout((4, 8), (2,), (16, 1), (8,)),
        Layout((4, 8), (2, 2), (32, 1), (16, 8))),
}


def _strided(n, shape, strides):
    number, total = np.arange(n), 0
    for size, stride in zip(shape, strides, strict=True):
        total, number = total + number % size * stride, number // size
    return total
