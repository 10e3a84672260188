"""The contract of every verb, by the unchanged CUDA sources on the CPU, in several orders of blocks and threads."""

import pytest
from contract import calls_of, check_layouts, check_ops, check_signatures
from strategies import random_rulebook


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
