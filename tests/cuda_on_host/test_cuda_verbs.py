"""The contract of every verb, by the unchanged CUDA sources on the CPU, in several orders of blocks and threads."""

import numpy as np
import pytest
from contract_ops import calls_of, check_layouts, check_ops, check_signatures
from strategies import random_rulebook

from spconv_cy.backend import gathered


def test_verbs_have_the_arguments_of_the_reference(cuda):
    check_signatures(cuda)


@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (1, 20, 70), (2, 6, 4)])
def test_verbs_agree_with_the_reference_in_every_order(groups, c, o, cuda, order, rng):
    for n, m, k in ((40, 50, 9), (7, 200, 3), (1, 1, 1), (0, 0, 3), (5, 0, 3), (0, 5, 2), (6, 0, 3)):
        check_ops(cuda, calls_of(rng, random_rulebook(rng, n, m, k), c, o, groups))


def test_verbs_agree_for_more_offsets_than_a_mask_word_holds(cuda, order, rng):
    check_ops(cuda, calls_of(rng, random_rulebook(rng, 70, 90, 70), 18, 8))


def test_verbs_agree_for_more_rows_than_a_thread_sums(cuda, rng):
    check_ops(cuda, calls_of(rng, random_rulebook(rng, 1500, 1400, 2), 3, 2))


def test_every_layout_gives_the_bits_of_the_plain_one(cuda, rng):
    check_layouts(cuda, rng, random_rulebook(rng, 20, 25, 3), 6, 4, 2)


@pytest.mark.parametrize("groups, c, o", [(1, 5, 33), (2, 6, 4)])
def test_gathering_agrees_with_the_reference(groups, c, o, cuda, order, rng, monkeypatch):
    monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", "gathered")
    for n, m, k in ((40, 50, 9), (7, 200, 3), (1, 1, 1), (0, 0, 3), (5, 0, 3), (0, 5, 2), (6, 5, 0)):
        calls = calls_of(rng, random_rulebook(rng, n, m, k), c, o, groups)
        check_ops(cuda, [call for call in calls if call[0] in ("conv", "conv_dw")])


def test_the_table_gathers_many_channels_and_the_setting_decides_over_it(rng, monkeypatch):
    few, many = random_rulebook(rng, 100, 100, 3), random_rulebook(rng, 3000, 3000, 2, 0.9)
    for asked, found in ((None, [False, False, False, True]), ("gathered", [True] * 4), ("tiles", [False] * 4)):
        monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", asked or "")
        sizes = ((few, 512, 512), (many, 255, 512), (many, 512, 255), (many, 256, 256))
        assert [gathered.is_gathered(np.float32, 90, c, o, book) for book, c, o in sizes] == found
    assert not gathered.is_gathered(np.float16, 90, 256, 256, many)
    monkeypatch.setenv("SPCONV_CY_CUDA_CONVOLUTION", "dense")
    with pytest.raises(ValueError, match="SPCONV_CY_CUDA_CONVOLUTION: expected 'tiles' or 'gathered', got 'dense'"):
        gathered.is_gathered(np.float32, 90, 1, 1, few)
