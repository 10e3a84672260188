"""Reads files that were changed at random: python tests/pth_mutants.py COUNT SEED.

Each is read, or refused by a FileError in one line; nothing is imported or executed, and memory and time are bounded.
"""

import encodings.cp437
import encodings.raw_unicode_escape
import io
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pth_writer import Call, Object, Pid, dumps, legacy, tarred, tensor, zipped

import spconv_cy as sp
from spconv_cy.errors import FileError

FOLDER = Path(__file__).parent / "golden" / "torch"
MEMORY = 1 << 29                                                         # bytes of address space beyond the start's
SLOWEST = 10.0                                                           # seconds of the CPU
EDGES = [n.to_bytes(size, "little") for n in (0, 1, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1,
                                              2**63, 2**64 - 1) for size in (1, 2, 4, 8) if n < 256**size]
WATCHED = ("import", "exec", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen",
           "pickle.find_class", "socket.connect", "ctypes.dlopen", "marshal.loads", "os.remove", "os.rename",
           "os.mkdir", "shutil.rmtree")
seen = []


def watch(event, arguments):
    """Write down what a file must not cause."""
    if event in WATCHED:
        seen.append((event, str(arguments)[:200]))


def seeds():
    """Return (name, content) of whole files."""
    files = [(path.suffix, path.read_bytes()) for path in sorted(FOLDER.iterdir())
             if path.suffix in (".pth", ".pt", ".ckpt", ".npz") and path.stat().st_size < 9000]
    numbers = np.arange(6, dtype=np.float32)
    net = Object("my.Net", {"_parameters": {"w": tensor("f4", "0", 6, (2, 3))}, "_buffers": {}, "_modules": {}})
    state = {"state_dict": {"a": tensor("f4", "0", 6, (3, 2), (1, 3)), "b": net}, "n": [1, 2.5, "x", {3}, b"y", None],
             "o": Call("collections.OrderedDict", ([["k", 1]],))}
    raw = {"0": numbers.tobytes()}
    tar = tarred({"a": {}, "b": Pid("1")}, {10: ("f4", numbers)}, [(12, 10, 2, 3)], {1: (12, (3,), (1,), 0)})
    text = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    npz = io.BytesIO()
    np.savez(npz, w=numbers, n=np.array(1))
    return [*files, (".npz", npz.getvalue()), (".pth", zipped(state, raw)), (".pth", legacy(state, raw, {"0": 4})),
            (".tar", tar), (".st", len(text).to_bytes(8, "little") + text + raw["0"]),
            (".pkl", dumps({"a": [1, (2,)], "b": {1.5}})), *[(".pkl", dumps(state)) for _ in range(8)]]


def mutated(content, others, draw):
    """Return content with a few changes."""
    made = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        at, length = draw.randrange(len(made) + 1), draw.choice((1, 1, 2, 4, 8, 64))
        kind = draw.randrange(8)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = draw.randrange(256)
        elif kind == 2:
            del made[at:]
        elif kind == 3:
            del made[at:at + length]
        elif kind == 4:
            made[at:at] = draw.randbytes(length)
        elif kind == 5:
            made[at:at] = made[at - length if at > length else 0:at] * draw.choice((1, 1, 2, 50))
        elif kind == 6:
            edge = draw.choice(EDGES)
            made[at:at + len(edge)] = edge
        else:
            other = draw.choice(others)[1]
            start = draw.randrange(len(other))
            made[at:at + length] = other[start:start + length]
    return bytes(made)


def main(count, seed):
    assert encodings.cp437 and encodings.raw_unicode_escape              # else imported at the first odd name or text
    draw, known = random.Random(seed), seeds()
    warm = [case for case in known if case[0] != ".tar"]
    read = refused = 0
    slowest = 0.0
    words = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for _, content in warm:                                          # what is imported once is imported here
            path.write_bytes(content)
            try:
                sp.io.read_checkpoint(path)
            except FileError:
                pass
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
        sys.addaudithook(watch)
        for number in range(count):
            kind, content = draw.choice(known)
            content = mutated(content, known, draw)
            if kind == ".pkl" and draw.random() < 0.7:                   # a pickle in a whole archive
                content = zipped(content, {"0": bytes(24)})
            path.unlink(missing_ok=True)
            del seen[:]
            path.write_bytes(content)
            began = time.process_time()
            try:
                found = sp.io.read_checkpoint(path, everything=draw.random() < 0.3)
                read += 1
                if type(found) is dict:
                    sum(float(np.size(value)) for value in found.values() if isinstance(value, np.ndarray))
                del found
            except FileError as error:
                refused += 1
                words.add(str(error).partition("expected ")[2][:25])
                assert "\n" not in str(error) and len(str(error)) < 1000, (number, str(error))
            except BaseException:
                (Path(tempfile.gettempdir()) / "mutant.bin").write_bytes(content)
                raise
            slowest = max(slowest, time.process_time() - began)
            assert slowest < SLOWEST and not seen, (number, slowest, seen)
    print(f"{read} read, {refused} refused, slowest {slowest:.3f} s, {len(words)} kinds of message")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
