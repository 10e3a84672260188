"""What one batch asked for is made for the next one: rules on every backend, device arrays where there is a device."""

from types import SimpleNamespace

import numpy as np
import pytest
from strategies import random_sites

import spconv_cy as sp
from spconv_cy.backend.placed import placed
from spconv_cy.backend.prefetch import Reads, Requests, make_ahead
from spconv_cy.sites.grid import Grid
from spconv_cy.sites.window import Window


@pytest.fixture
def device():
    """A device whose memory is the CPU's; it lists what is uploaded."""
    uploaded = []
    return SimpleNamespace(name="device", names=uploaded,
                           uploaded=lambda what, array: uploaded.append(what.split()[1]) or array.copy())


def made_grid(seed):
    return Grid.from_sites(random_sites(np.random.default_rng(seed), 40, 2, high=12), 12, 1)


def test_rules_that_a_grid_was_asked_for_are_made_ahead_for_another(ops, rng):
    first, second = (Grid.from_sites(random_sites(rng, 40, 2, high=12), 12, 1) for _ in range(2))
    windows = [Window(2, 3, kind="submanifold"), Window(2, 2, 2), Window(2, 3)]
    requests = Requests()
    requests.follow(first)
    first.rules(windows[0])
    first.rules(windows[1])[0].rules(windows[2])
    held = make_ahead(second, requests, sp.backend.switch.ops_named(ops))
    child, rulebook = second.rules(windows[1])
    assert child is held[0] and child.rules(windows[2])[0] is held[1] and len(held) == 2
    assert rulebook == Grid.from_sites(second.sites, 12, 1).rules(windows[1])[1]
    small = Grid.from_sites([[0, 1, 1]], 3, 1)
    requests.windows = {window: (Requests(), Reads()) for window in (Window(2, 5), Window(2, 3))}
    assert [grid.size for grid in make_ahead(small, requests, None)] == [(1, 1)]


@pytest.mark.parametrize("turned_first", [False, True])
def test_arrays_that_a_step_read_are_made_for_the_next_batch_and_no_others(turned_first, device):
    first, second, requests, window = made_grid(0), made_grid(1), Requests(), Window(2, 3, stride=1)
    if turned_first:                                                     # the transpose is there before the recording
        _ = first.rules(window)[1].T
    requests.follow(first)
    child, rulebook = first.rules(window)
    placed(rulebook, device).table, placed(rulebook.T, device).masks, placed(rulebook.T.T, device).in_rows
    assert [sorted(r.names) for r in (rulebook.listener, rulebook.T.listener, rulebook.T.T.listener)] == [
        ["table"], ["masks"], ["in_rows"]]
    device.names.clear()
    held = make_ahead(second, requests, device)
    assert sorted(device.names) == ["in_rows", "masks", "table"] and len(held) == 1
    device.names.clear()
    rulebook = second.rules(window)[1]
    placed(rulebook, device).table, placed(rulebook.T, device).masks
    assert device.names == []


def test_records_hold_no_grid_and_nothing_is_recorded_unasked():
    first, requests, window = made_grid(0), Requests(), Window(2, 2, 2)
    assert first.rules(window)[1].listener is None and first.rules(window)[0].listener is None
    requests.follow(first)
    child, rulebook = first.rules(window)
    assert child.rules(Window(2, 2, 2))[1].listener is not None
    (_, (below, reads)), = requests.windows.items()
    assert set(vars(reads)) == {"names", "T"} and list(below.windows) == [Window(2, 2, 2)]
