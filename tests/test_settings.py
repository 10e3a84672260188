"""Settings: of the process by a plain call, of a thread or task alone in a `with` statement; numbers of threads."""

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import ExitStack

import numpy as np
import pytest
from experiment import Experiment

import spconv_cy as sp
from spconv_cy import config
from spconv_cy.errors import BackendError

SWITCHES = [(sp.use, config.backend_name, "cpu", "reference"), (sp.precision, config.precision_name, "float32", "tf32")]
by_switch = pytest.mark.parametrize("switch, now, usual, other", SWITCHES, ids=["use", "precision"])


def in_a_thread(function):
    """Return what a function gives in a new thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start(), thread.join()
    return found[0]


@by_switch
def test_overlapping_with_statements_of_two_threads_leave_the_process_as_it_was(switch, now, usual, other):
    entered, both = threading.Event(), threading.Event()

    def first():
        with switch(other):
            entered.set(), both.wait()

    def second():
        entered.wait()
        with switch(other):
            both.set(), threads[0].join()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert now() == usual


@by_switch
def test_no_thread_ever_sees_the_with_statement_of_another(switch, now, usual, other):
    ended, before = threading.Event(), sys.getswitchinterval()

    def switching():
        while not ended.is_set():
            with switch(other):
                now()
            with ExitStack() as stack:
                stack.enter_context(switch(other))

    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=switching)
    thread.start()
    try:
        assert {now() for _ in range(3000)} == {usual}
    finally:
        ended.set(), thread.join(), sys.setswitchinterval(before)
    assert now() == usual


@by_switch
def test_a_plain_call_is_for_all_threads_and_a_with_statement_for_one(switch, now, usual, other):
    try:
        kept = switch(other)  # as an interactive session keeps it
        assert now() == other and in_a_thread(now) == other
        switch(usual)
        assert now() == usual and in_a_thread(now) == usual
        with switch(other):
            assert now() == other and in_a_thread(now) == usual
        assert now() == usual and repr(kept) == f"{switch.__name__}({other!r})"
    finally:
        switch(usual)


@by_switch
def test_a_plain_call_inside_a_with_statement_lasts_until_its_end(switch, now, usual, other):
    with switch(usual):
        switch(other)
        assert now() == other and in_a_thread(now) == usual
    assert now() == usual


@by_switch
def test_one_object_serves_many_with_statements_nested_and_in_threads(switch, now, usual, other):
    shared = switch(other)
    with shared, switch(usual), shared:
        assert now() == other
    assert now() == usual
    barrier = threading.Barrier(4)

    def inside():
        for _ in range(20):
            with shared:
                barrier.wait()
                assert now() == other
            barrier.wait()
        return now()

    assert {found for found in _in_threads(inside, 4)} == {usual}


def _in_threads(function, n):
    found = []
    threads = [threading.Thread(target=lambda: found.append(function())) for _ in range(n)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(found) == n
    return found


@by_switch
def test_a_task_cannot_change_another(switch, now, usual, other):
    async def switched():
        with switch(other):
            await asyncio.sleep(0)
            return now()

    async def plain():
        await asyncio.sleep(0)
        return now()

    async def both():
        return await asyncio.gather(switched(), plain(), switched(), plain())

    assert asyncio.run(both()) == [other, usual, other, usual] and now() == usual


@by_switch
def test_a_refused_name_changes_nothing(switch, now, usual, other):
    with pytest.raises((BackendError, ValueError)):
        switch("none")
    assert now() == usual


def test_no_grad_may_be_one_object_for_nested_statements_and_threads():
    w, off = sp.Tensor([1.0], requires_grad=True), sp.no_grad()
    with off, off:
        assert not (w * 2).requires_grad and in_a_thread(lambda: (w * 2).requires_grad)
    assert (w * 2).requires_grad


def test_batches_are_prepared_with_the_settings_of_the_caller():
    data = sp.data.TensorBatches([sp.SparseTensor.from_sites([[0, 1]], [[1.0]], 4)] * 3, [0, 1, 0], batch=1)
    data.prepare = lambda *_: lambda items: sp.Tensor([1.0]).data.dtype
    with sp.use("reference"):
        assert {x for x, _ in data.epoch(0, training=False)} == {np.dtype(np.float64)}
    assert {x for x, _ in data.epoch(0, training=False)} == {np.dtype(np.float32)}


def test_measuring_a_cost_leaves_the_number_of_threads():
    x = sp.SparseTensor.from_sites([[0, 1]], [[1.0]], 4)
    sp.set_threads(3)
    try:
        Experiment.cost(sp.SubmanifoldConvolution(1, 1, 1, 3, rng=0), x, repeats=1)
        assert config.threads() == 3
    finally:
        sp.set_threads(None)


def test_limits_of_threadpoolctl_are_obeyed_where_none_of_ours_is_set(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = config.threads()
    with threadpoolctl.threadpool_limits(1):
        assert config.threads() == 1
    assert config.threads() == usual
    with threadpoolctl.threadpool_limits(1), config.thread_limit(2):
        assert config.threads() == 2


MANY = """
import resource, numpy as np, spconv_cy as sp
rng = np.random.default_rng(0)
sites = np.unique(np.c_[np.zeros(20000, int), rng.integers(0, 200, (20000, 2))], axis=0)
def work():
    x = sp.SparseTensor.from_sites(sites[::-1], np.ones((len(sites), 16)), 200)
    return sp.SubmanifoldConvolution(2, 16, 32, 3, rng=0)(x).features.data.tobytes()
sp.set_threads(1)
truth = work()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
sp.set_threads(1024)
print(work() == truth)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_more_threads_than_the_system_starts_do_not_end_the_process():
    found = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "True", found.stderr[-1000:]


REFUSED = """
import numpy as np, resource
from spconv_cy import _core
from spconv_cy.sites.rulebook import Rulebook
n, k, rng = 6144, 8, np.random.default_rng(0)
rows = np.tile(np.arange(n, dtype=np.int32), k)
book = Rulebook(rows, rows, np.arange(k + 1) * n, n, n)
x, w = rng.standard_normal((n, 64), np.float32), rng.standard_normal((k, 64, 48), np.float32)
truth = _core.conv(x, w, book.pairs, n_threads=1)
resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30,) * 2)
print(all((_core.conv(x, w, book.pairs, n_threads=200) == truth).all() for _ in range(3)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("limit", [30, 40])
def test_a_call_has_memory_for_all_threads_that_start_after_more_were_refused(limit):
    # Once 144 threads are refused, the 24 that a later question of the same call asks for might start after all.
    program = [sys.executable, "-c", REFUSED.replace("GIBIBYTES", str(limit))]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60,
                           env={**os.environ, "OMP_STACKSIZE": "1G"})
    assert found.stdout.strip() == "True", found.stderr[-1000:]
