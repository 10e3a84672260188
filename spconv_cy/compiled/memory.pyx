"""Arrays whose memory is kept for later arrays of about the same size, so that a loop needs no new memory."""

# New memory takes a page fault every 4 KB, a third of the time of the cheap passes, and the system's allocator returns
# large pieces at once. At most 16 MB and a quarter of the memory in use are kept here. If a loop asks again for memory
# that was returned before, so much more is kept from then on, until nothing was taken from it for five seconds, a full
# garbage collection runs, or `release` is called. What is in use and what is kept, less 16 MB, is then at most one and
# a half times the most that was in use at once: pieces of different sizes are wanted at different times of a loop. The
# pieces that were not wanted for the longest time are returned first.

import gc
import math

import numpy as np

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libcpp.utility cimport pair
from cython.operator cimport dereference, preincrement

cdef extern from *:
    """
    #include <chrono>
    #include <cstdint>
    #include <mutex>
    #include <new>
    #ifndef _WIN32
    #include <pthread.h>
    #endif
    namespace {
    // Guards the numbers and pieces below. No Python code runs while it is held, so no thread waits for it and the GIL.
    std::mutex turn;
    void lock_kept() { turn.lock(); }
    void unlock_kept() { turn.unlock(); }
    double seconds() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    void guard_forks() {
    #ifndef _WIN32
        // Otherwise, a child that is forked while another thread holds the lock would wait for that thread forever.
        pthread_atfork(lock_kept, unlock_kept, unlock_kept);
    #endif
    }
    }
    #ifdef __linux__
    #include <sys/mman.h>
    namespace {
    const size_t HUGE_PAGE = size_t(1) << 21;
    // Directly from the system, so that dropped memory returns to it; large pieces use huge pages.
    void* fresh(size_t size) {
        const size_t spare = size >= 2 * HUGE_PAGE ? HUGE_PAGE : 0;
        void* found = mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED) return nullptr;
        char* start = static_cast<char*>(found);
        if (spare) {
            const size_t skip = -reinterpret_cast<uintptr_t>(start) % HUGE_PAGE;
            if (skip) munmap(start, skip);
            if (skip < spare) munmap(start + skip + size, spare - skip);
            start += skip;
            madvise(start, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
        }
        return start;
    }
    void drop(void* start, size_t size) { munmap(start, size); }
    }
    #else
    namespace {
    void* fresh(size_t size) { return ::operator new(size, std::align_val_t(64), std::nothrow); }
    void drop(void* start, size_t) { ::operator delete(start, std::align_val_t(64)); }
    }
    #endif
    """
    void lock_kept() noexcept nogil
    void unlock_kept() noexcept nogil
    double seconds() noexcept nogil
    void guard_forks() noexcept nogil
    void* fresh(size_t size) noexcept nogil
    void drop(void* start, size_t size) noexcept nogil

cdef extern from "<map>" namespace "std" nogil:
    cdef cppclass multimap[K, V]:
        cppclass iterator:
            pair[K, V]& operator*()
            iterator operator++()
            bint operator==(iterator)
            bint operator!=(iterator)
        iterator begin()
        iterator end()
        iterator lower_bound(K)
        iterator insert(iterator, pair[K, V])
        void erase(iterator)

cdef enum:
    SMALL = 65536               # bytes below which the system's allocator keeps memory by itself
    SPARE = 16777216            # bytes that are always kept
    PATIENCE = 5                # seconds after which unused memory is returned

cdef struct Kept:
    void* start
    size_t turn                 # the number of pieces that were kept before

cdef multimap[size_t, Kept] kept
cdef size_t kept_bytes = 0, used_bytes = 0, most_used = 0, turns = 0
# Bytes that arrays in use asked for, in whole pages; the rest of a larger piece counts as kept.
cdef size_t asked_bytes = 0, peak_bytes = 0
# Bytes that were returned and may be wanted again; bytes that are kept because they were; the time of the last use.
cdef size_t missed_bytes = 0, earned_bytes = 0
cdef double last_taken = 0

guard_forks()


cdef class Block:
    """The owner of an array's memory, which is kept or returned when the last array on it is deleted."""

    cdef void* start
    cdef size_t size
    cdef size_t asked
    cdef Py_ssize_t length

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.length, 0, flags)

    def __dealloc__(self):
        if self.start != NULL:
            _give_back(self.start, self.size, self.asked)


cdef void _give_back(void* start, size_t size, size_t asked) noexcept nogil:
    global kept_bytes, used_bytes, asked_bytes, turns
    cdef Kept piece
    lock_kept()
    turns += 1
    piece.start, piece.turn = start, turns
    used_bytes -= size
    asked_bytes -= asked
    kept_bytes += size
    # Before others of its size: the piece that was used last is still in the caches.
    kept.insert(kept.lower_bound(size), pair[size_t, Kept](size, piece))
    _trim(_most_kept())
    unlock_kept()


cdef size_t _whole() noexcept nogil:
    # The most that may be in use and kept together. The lock is held.
    return most_used + most_used // 2


cdef size_t _most_kept() noexcept nogil:
    # The lock is held.
    cdef size_t room = _whole() - used_bytes if used_bytes < _whole() else 0
    return max(used_bytes // 4, min(earned_bytes, room)) + SPARE


cdef void _trim(size_t most) noexcept nogil:
    # Returns memory until at most `most` bytes are kept. The lock is held.
    global kept_bytes, missed_bytes
    cdef multimap[size_t, Kept].iterator found
    while kept_bytes > most:
        found = _oldest()
        kept_bytes -= dereference(found).first
        missed_bytes = min(missed_bytes + dereference(found).first, _whole())
        drop(dereference(found).second.start, dereference(found).first)
        kept.erase(found)


cdef multimap[size_t, Kept].iterator _oldest() noexcept nogil:
    # Returns what was kept first. Something is kept, and the lock is held.
    cdef multimap[size_t, Kept].iterator found = kept.begin(), oldest = kept.begin()
    while found != kept.end():
        if dereference(found).second.turn < dereference(oldest).second.turn:
            oldest = found
        preincrement(found)
    return oldest


cdef void _forget() noexcept nogil:
    # Forgets what a loop that has ended needed. The lock is held.
    global missed_bytes, earned_bytes
    missed_bytes = earned_bytes = 0


cdef Block _take(size_t length, bint exact=False):
    cdef Block block = Block.__new__(Block)
    cdef size_t size = _rounded(length)
    cdef pair[size_t, Kept] piece = _piece(size, size if exact else 2 * size)
    if piece.second.start == NULL:
        raise MemoryError(f"array: expected a size that fits the memory, got {length:,} bytes; use a smaller batch")
    block.length, block.size, block.start = <Py_ssize_t>length, piece.first, piece.second.start
    block.asked = size
    return block


cdef pair[size_t, Kept] _piece(size_t size, size_t most) noexcept nogil:
    # Returns a piece of `size` bytes, or a kept one of up to `most`.
    global kept_bytes, used_bytes, asked_bytes, most_used, missed_bytes, earned_bytes, last_taken, peak_bytes
    cdef pair[size_t, Kept] piece
    cdef double now = seconds()
    lock_kept()
    if now - last_taken > PATIENCE:
        _forget()
        _trim(used_bytes // 4 + SPARE)
        missed_bytes, last_taken = 0, now
    cdef multimap[size_t, Kept].iterator found = kept.lower_bound(size)
    if found != kept.end() and dereference(found).first <= most:
        piece = dereference(found)
        kept_bytes -= piece.first
        kept.erase(found)
        last_taken = now
    else:
        if missed_bytes >= size:
            missed_bytes -= size
            earned_bytes = min(earned_bytes + size, _whole())
            last_taken = now
        piece.first, piece.second.start = size, fresh(size)
        if piece.second.start == NULL:                                  # return what is kept and try again
            _trim(0)
            piece.second.start = fresh(size)
    if piece.second.start != NULL:
        used_bytes += piece.first
        asked_bytes += size
        most_used = max(most_used, used_bytes)
        peak_bytes = max(peak_bytes, asked_bytes)
        _trim(_most_kept())
    unlock_kept()
    return piece


cdef size_t _rounded(size_t length) noexcept:
    # Rounds up to whole pages, and to one of eight steps between powers of two.
    cdef size_t step = 4096
    while step * 16 <= length:
        step *= 2
    return (length + step - 1) // step * step


@cython.binding(True)
def empty(shape, dtype=np.float32):
    """Return an uninitialised C-contiguous array, as np.empty does."""
    shape, dtype = shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype)
    length = math.prod(shape) * dtype.itemsize
    return np.empty(shape, dtype) if length < SMALL else np.ndarray(shape, dtype, _take(length))


@cython.binding(True)
def exact(shape, dtype=np.float32):
    """Return an array as `empty` does, of which no more than `held_bytes(its bytes)` are held."""
    shape, dtype = shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype)
    length = math.prod(shape) * dtype.itemsize
    return np.empty(shape, dtype) if length < SMALL else np.ndarray(shape, dtype, _take(length, True))


def held_bytes(size_t length):
    """Return how many bytes an array of `length` bytes holds."""
    return length if length < SMALL else _rounded(length)


def bytes_of(arrays):
    """Return how many bytes the memory holds in which arrays lie; what several lie in counts once."""
    total, seen = 0, set()
    for array in arrays:
        owner = array
        while not isinstance(owner, Block):
            below = getattr(owner, "base", None) if isinstance(owner, np.ndarray) else getattr(
                owner, "base", getattr(owner, "obj", None))
            if below is None:
                break
            owner = below
        if id(owner) not in seen:
            total += (<Block>owner).size if isinstance(owner, Block) else getattr(owner, "nbytes", array.nbytes)
        if isinstance(owner, (Block, np.ndarray)):
            seen.add(id(owner))
    return total


@cython.binding(True)
def zeros(shape, dtype=np.float32):
    """Return an array of zeros, as np.zeros does."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def release():
    """Return all memory that is kept for later arrays to the system."""
    lock_kept()
    _trim(0)
    _forget()
    unlock_kept()


def _after_collection(phase, about):
    if phase == "stop" and about["generation"] == 2:
        release()


gc.callbacks.append(_after_collection)


def peak():
    """Return the most bytes in use by arrays at once since the last call of this function."""
    global peak_bytes
    lock_kept()
    cdef size_t most = peak_bytes
    peak_bytes = asked_bytes
    unlock_kept()
    return most


def in_use():
    """Return three numbers of bytes: in use by arrays, kept for later arrays, and the most in use at once so far."""
    lock_kept()
    cdef size_t used = asked_bytes, spare = kept_bytes + used_bytes - asked_bytes, most = most_used
    unlock_kept()
    return used, spare, most
