"""Every verb and every layer at sizes that the slow sanitizers bear; the exit status says whether all agree.

    python small.py verbs [order...]
    python small.py layers [order...]     each case of a layer with its first inputs; under ThreadSanitizer each layer
    python small.py float16 [order...]    convolutions in float16, and all verbs of its rows; or tf32
"""

import os
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import cupy_on_host  # noqa: E402
from contract import check_backends  # noqa: E402
from contract_ops import calls_of, check_ops, numbers  # noqa: E402
from contract_precision import check_precisions, compare  # noqa: E402
from layer_cases import CASES  # noqa: E402
from strategies import random_rulebook  # noqa: E402

from spconv_cy.backend import cuda as backend  # noqa: E402
from spconv_cy.backend.switch import ops_named  # noqa: E402
from spconv_cy.cuda import loader  # noqa: E402
from spconv_cy.sites.rulebook import Rulebook  # noqa: E402


def late(n, k):
    """Make a rulebook of n rows, all but row 0 paired by offset k alone: the words of the mask before it are empty."""
    rows = np.arange(1, n, dtype=np.int32)
    return Rulebook(rows, rows, np.repeat([0, n - 1], [k + 1, 1]), n, n)


def check_verbs():
    """Compare all verbs, in groups too, and convolutions over more offsets than a word of a mask holds."""
    cuda, rng = ops_named("cuda"), np.random.default_rng(0)
    book, before = random_rulebook(rng, 70, 67, 3, 0.7), backend.PAIRS
    check_ops(cuda, calls_of(rng, book, 20, 36))                         # one chunk of pairs, in several steps
    backend.PAIRS = 16                                                   # several chunks
    check_ops(cuda, [("conv_dw", (numbers(rng, 70, 4), numbers(rng, 67, 5), book), {})])
    backend.PAIRS = before
    check_ops(cuda, calls_of(rng, random_rulebook(rng, 9, 8, 4), 6, 4, 2))
    os.environ["SPCONV_CY_CUDA_CONVOLUTION"] = "gathered"
    check_ops(cuda, [call for call in calls_of(rng, book, 20, 36) if call[0] in ("conv", "conv_dw")])
    del os.environ["SPCONV_CY_CUDA_CONVOLUTION"]
    for book in (late(7, 40), random_rulebook(rng, 30, 30, 35, 0.05)):
        x, w = numbers(rng, book.n_in, 4), numbers(rng, book.n_offsets, 4, 8)
        check_ops(cuda, [("conv", (x, w, book), {})])
    x, dy, rows = numbers(rng, 300, 2), numbers(rng, 300, 2), numbers(rng, 4, 2)
    ties, book = np.round(numbers(rng, 30, 3)), random_rulebook(rng, 30, 28, 6)
    check_ops(cuda, [("segment_sum", (x, np.array([0, 290, 290, 300])), {}), ("moments", (x,), {}),
                     ("affine_sums", (x, dy, rows), {"slope": 0.5}),
                     ("segment_max", (ties, np.array([0, 9, 9, 30])), {}),
                     ("max_pool", (ties, book), {}), ("max_pool", (ties, book), {"ground": np.ones((1, 3))})])


def check_layers():
    """Compare forward and backward of every layer with the reference."""
    loader.THREADS = 32                                                  # of kernels that stride over their numbers
    first = {name.rsplit(", ", 1)[0]: case for name, case in reversed(CASES.items())}
    if os.environ.get("SHIM_MODE") == "tsan":
        first = {type(make()): (make, inputs) for make, inputs in first.values()}
    for make, inputs in first.values():
        check_backends(make, inputs, (4, 0, 3), ["cuda"])


def check_precision(name):
    """Compare convolutions in float16, and the other verbs of its rows, or in TF32; sizes and books as above."""
    cuda, rng = ops_named("cuda"), np.random.default_rng(0)
    book, before = random_rulebook(rng, 70, 67, 3, 0.7), backend.PAIRS
    check_precisions(cuda, rng, book, 20, 36, names=[name])
    backend.PAIRS = 4                                                    # several chunks
    check_precisions(cuda, rng, random_rulebook(rng, 9, 8, 4, 0.9), 6, 4, 2, names=[name])
    backend.PAIRS = before
    for book in (late(7, 40), random_rulebook(rng, 30, 30, 35, 0.05)):
        arguments = numbers(rng, book.n_in, 8), numbers(rng, book.n_offsets, 8, 8), book
        compare(cuda, "conv", arguments, {"precision": name}, np.float32, name)


if __name__ == "__main__":
    sys.modules.update(cupy_on_host.modules())
    for given in sys.argv[2:] or ["fwd"]:
        os.environ["SHIM_ORDER"] = given
        {"verbs": check_verbs, "layers": check_layers}.get(sys.argv[1], lambda: check_precision(sys.argv[1]))()
