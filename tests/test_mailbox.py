"""Messages through shared memory, and sums and moments of what came, against numpy."""

import errno
import os
import threading
import time

import numpy as np
import pytest
from in_turn import each

from spconv_cy.compiled.mailbox import Mailbox, add_up, joined, length_of, part_of
from spconv_cy.distributed import near
from spconv_cy.distributed.sums import add_in_turn
from spconv_cy.errors import ShapeError


def mailboxes(n, room):
    """Return the mailboxes of n processes over one memory, which is not empty at first."""
    memory = np.full(length_of(n, room), 1, np.uint8)
    return [Mailbox(memory, rank, n, room) for rank in range(n)]


@each("n", [1, 2, 3, 8])
def test_every_process_has_each_message_of_all(n):
    boxes, wrong = mailboxes(n, 64), []

    def process(rank):
        received = np.empty((n, 4))
        for number in range(200):
            boxes[rank].post(np.array([rank]), np.full(3, number, np.float64))
            while not boxes[rank].arrived(100):
                time.sleep(0)
            boxes[rank].take(received)
            if not (np.array_equal(received[:, 0].view(np.int64), range(n)) and (received[:, 1:] == number).all()):
                wrong.append((rank, number, received.copy()))

    threads = [threading.Thread(target=process, args=[rank]) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_last_message_is_kept_while_the_next_is_written():
    first, second = mailboxes(2, 8)
    first.post(np.array([1.0]))
    assert not first.arrived() and first.missing() == [1]
    second.post(np.array([2.0]))
    assert first.arrived()
    received = np.empty(2)
    first.take(received)
    first.post(np.array([3.0]))
    assert not first.arrived() and second.arrived() and second.missing() == []
    second.take(received)
    assert received.tolist() == [1, 2]


@each("size", [0, 1, 5, 511, 512, 4099])
def test_sums_are_those_in_order_in_float64(size, rng):
    for n in (2, 3, 5):
        for kind in (np.float32, np.float64):
            parts = (rng.standard_normal((n, size)) * 10.0 ** rng.integers(-6, 6, (n, size))).astype(kind)
            wanted = np.zeros(size)
            for part in parts:
                wanted = wanted + part
            total, boxes = np.empty(size, kind), mailboxes(n, 8 * size)
            add_up(parts, total)
            assert np.array_equal(total, wanted.astype(kind))
            for box, part in zip(boxes, parts, strict=True):
                box.post(part)
            for divisor in (1, n):
                assert boxes[0].arrived()
                boxes[0].take_sum(total, divisor)
                assert np.array_equal(total, wanted.astype(kind) / divisor)


@each("n", [2, 3])
def test_sums_of_whole_numbers_are_exact(n):
    parts, total = [np.array([2**60 + 1, -7]) for _ in range(n)], np.empty(2, np.int64)
    add_in_turn(parts, total)
    assert total.tolist() == [n * (2**60 + 1), -7 * n]


@each("kind", [np.float32, np.float64])
def test_moments_are_those_of_all_rows(kind, rng):
    rows = [rng.standard_normal((n, 6)) + 5 for n in (40, 0, 1, 300)]
    both = np.concatenate(rows)
    own = [np.stack([x.mean(0), np.zeros(6), x.var(0)]).astype(kind) if len(x) else np.full((3, 6), np.nan, kind)
           for x in rows]
    parts, found = np.stack([part_of(m, len(x)) for m, x in zip(own, rows, strict=True)]), np.empty((3, 6), kind)
    assert joined(parts, found) == 341
    tolerance = 1e-6 if kind is np.float32 else 1e-14
    np.testing.assert_allclose(found[0], both.mean(0), rtol=tolerance)
    np.testing.assert_allclose(found[2], both.var(0), rtol=tolerance)
    assert (abs(found[1]) <= np.spacing(found[0]) / 2).all()
    assert joined(np.zeros((2, 13)), found) == 0


def test_wrong_messages_are_refused():
    first, second = mailboxes(2, 16)
    with pytest.raises(ShapeError, match="Mailbox.post: expected at most 16 bytes, got 24"):
        mailboxes(2, 16)[0].post(np.ones(3))
    first.post(np.ones(1))
    second.post(np.ones(2))
    for box in first, second:
        with pytest.raises(ValueError, match="bytes where"):
            box.arrived()
    for call in (lambda: first.take(np.empty(5)), lambda: first.take_sum(np.empty(2)),
                 lambda: first.take_sum(np.empty(1, np.int64)), lambda: Mailbox(np.zeros(9, np.uint8), 0, 2, 16),
                 lambda: Mailbox(np.zeros(999, np.uint8), 2, 2, 16), lambda: add_up(np.ones((2, 3)), np.empty(2)),
                 lambda: joined(np.zeros((2, 5)), np.empty((3, 3))), lambda: part_of(np.ones((2, 3)), 1)):
        with pytest.raises(ShapeError):
            call()


@each("wrong", [np.ones(3), np.ones((2, 4))[:, ::2]])
def test_a_message_that_is_refused_counts_as_none(wrong):
    first, second = mailboxes(2, 16)
    for number in range(3):
        with pytest.raises((ShapeError, ValueError), match="16 bytes|contiguous"):
            first.post(np.ones(1), wrong)
        first.post(np.array([number, 1.0]))
        second.post(np.array([number, 2.0]))
        for box in first, second:
            received = np.empty((2, 2))
            assert box.arrived()
            box.take(received)
            assert received.tolist() == [[number, 1], [number, 2]]


class One:
    """A rank alone, which notes the files there are whenever it exchanges something."""

    rank, size, first, near = 0, 1, True, True

    def __init__(self, folder):
        self.folder, self.seen = folder, []

    def gather(self, value):
        """Return the one object."""
        self.seen.append(len(list(self.folder.iterdir())))
        return [value]

    def broadcast(self, value):
        """Return the object."""
        return self.gather(value)[0]

    stack = gather


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the memory is a file of Linux")
@each("full", [False, True])
def test_memory_that_ranks_share_leaves_no_file(full, tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = One(tmp_path)
    monkeypatch.setattr(near, "FOLDER", str(tmp_path))
    if full:
        monkeypatch.setattr(os, "posix_fallocate", no_room)
    found = near.large_mailboxes_of(one, [8, 16])
    assert [box.room for box in found] == ([] if full else [8, 16])      # without room MPI sends
    assert one.seen[:2] == [0, 1]                                        # a rank that fails before leaves no file
    assert not list(tmp_path.iterdir())
    assert near.large_mailboxes_of(one, []) == []
