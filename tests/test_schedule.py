"""Schedules: what the rate is multiplied by, at the values that their formulas give."""

import math

import pytest
from in_turn import each

import spconv_cy as sp
from spconv_cy.train.schedule import from_name


@each(
    "schedule, at, factor",
    [
        (sp.train.Constant(), 7.3, 1),
        (sp.train.Exponential(0.2), 0, 1),
        (sp.train.Exponential(0.2), 2.5, math.exp(-0.5)),
        (sp.train.Exponential(math.log(2)), 3, 1 / 8),
        (sp.train.Steps(10), 9.99, 1),
        (sp.train.Steps(10), 10, 0.1),
        (sp.train.Steps(10), 29.5, 0.01),
        (sp.train.Steps(2.5, 0.5), 5, 0.25),
        (sp.train.Cosine(8), 0, 1),
        (sp.train.Cosine(8), 2, (1 + math.sqrt(0.5)) / 2),
        (sp.train.Cosine(8), 4, 0.5),
        (sp.train.Cosine(8), 8, 0),
        (sp.train.Cosine(8), 11, 0),
        (sp.train.Cosine(8, lowest=0.2), 4, 0.6),
        (sp.train.Cosine(8, lowest=0.2), 9, 0.2),
        (sp.train.Cosine(0, lowest=0.5), 0, 0.5),
        (sp.train.WarmUp(4), 1, 0.25),
        (sp.train.WarmUp(4), 5, 1),
        (sp.train.WarmUp(0), 0, 1),
        (sp.train.WarmUp(2, sp.train.Steps(3)), 1, 0.5),
        (sp.train.WarmUp(2, sp.train.Steps(3)), 4, 0.1),
    ],
)
def test_factor_is_the_formulas(schedule, at, factor):
    assert schedule(at) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("name", [None, "constant"])
def test_constant_is_the_default(name):
    assert [from_name(name, 10)(e) for e in (0, 5, 10)] == [1, 1, 1]


def test_named_schedules_fit_the_run():
    assert from_name("cosine", 30)(15) == pytest.approx(0.5)
    assert from_name("cosine", 30)(30) == pytest.approx(0, abs=1e-15)
    assert from_name("exponential", 30)(30) == pytest.approx(math.exp(-4))
    assert from_name("cosine", 0)(0) == pytest.approx(0, abs=1e-15)


def test_any_function_is_a_schedule():
    def mine(epoch):
        return epoch

    assert from_name(mine, 3) is mine


@pytest.mark.parametrize("wrong", ["cosin", 3, ["cosine"]])
def test_what_is_no_schedule_is_told(wrong):
    with pytest.raises(ValueError, match="schedule to be 'constant', 'cosine', 'exponential' or a function"):
        from_name(wrong, 3)


@each(
    "make, message",
    [
        (lambda: sp.train.Steps(0), "Steps: expected every to be a number above 0, got 0"),
        (lambda: sp.train.Steps(-1), "Steps: expected every to be a number above 0, got -1"),
        (lambda: sp.train.Steps(1, -0.5), "Steps: expected factor to be a number from 0 up, got -0.5"),
        (lambda: sp.train.Cosine(-1), "Cosine: expected epochs to be a number from 0 up, got -1"),
        (lambda: sp.train.Cosine(3, lowest=-0.1), "Cosine: expected lowest to be a number from 0 up, got -0.1"),
        (lambda: sp.train.Exponential(float("inf")), "Exponential: expected decay to be a number, got inf"),
        (lambda: sp.train.WarmUp(-2), "WarmUp: expected epochs to be a number from 0 up, got -2"),
        (lambda: sp.train.WarmUp(2, "cosine"), "WarmUp: expected then to be a function of the epoch, .*got 'cosine'"),
    ],
)
def test_arguments_that_do_not_fit_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()
