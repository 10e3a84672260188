"""Gradients in buckets, whose sums go on while others are computed, without other processes."""

import numpy as np

import spconv_cy as sp
from spconv_cy.distributed.buckets import Buckets


class Far:
    """Two ranks of which this is one; it notes what is asked of a sum, which takes as long as nobody waits for it."""

    size, rank, near = 2, 0, False

    def __init__(self):
        self.asked = []

    def start_sum(self, flat):
        """Begin to sum an array, and return the sum, which is this object."""
        self.start()
        return self

    def start(self):
        """Begin again."""
        self.asked.append("start")

    def progress(self):
        """Tell that it is not complete."""
        return False

    def finish(self):
        """Wait for it."""
        self.asked.append("finish")


def test_gradients_of_a_pass_without_a_step_are_waited_for_before_others_take_their_place():
    parameter, ranks = sp.Tensor(np.zeros(3), requires_grad=True), Far()
    parameter.grad = np.ones(3, np.float32)
    buckets = Buckets([parameter], ranks, 100)
    for _ in range(2):
        buckets.begin()
        buckets.ready(parameter)
    buckets.finish()
    assert ranks.asked == ["start", "finish"] * 2
