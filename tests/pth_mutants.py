"""Reads files that were changed at random: python tests/pth_mutants.py COUNT SEED [FORMAT ...].

Each is read, or refused by a FileError in one line; nothing is imported or executed, and memory and time are bounded.
Networks that are read compute something, too.
"""

import difflib
import encodings.cp437
import encodings.raw_unicode_escape
import faulthandler
import importlib
import io
import pkgutil
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import network_mutants as networks
import numpy as np
from network_mutants import Case
from pth_writer import Call, Object, Pid, dumps, legacy, tarred, tensor, zipped

import spconv_cy as sp
from spconv_cy.errors import FileError, ShapeError

FOLDER = Path(__file__).parent / "golden" / "torch"
MEMORY = 1 << 29                                                         # bytes of address space beyond the start's
SLOWEST = 10.0                                                           # seconds of the CPU
HANGS = 900                                                              # seconds, of a machine that may be stopped
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
    """Return a list of Case: whole files."""
    files = [Case(kind_of(path.read_bytes()), path.read_bytes()) for path in sorted(FOLDER.iterdir())
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
    made = {"npz": [npz.getvalue()], "zip": [zipped(state, raw)], "legacy": [legacy(state, raw, {"0": 4})],
            "tar": [tar] * 2, "safetensors": [len(text).to_bytes(8, "little") + text + raw["0"]] * 2,
            "pickle": [dumps({"a": [1, (2,)], "b": {1.5}}), *[dumps(state)] * 8]}
    return files + [Case(kind, content) for kind, contents in made.items() for content in contents]


def kind_of(content):
    """Return the format of a file of torch."""
    return "zip" if content.startswith(b"PK") else "legacy"


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
            other = draw.choice(others).content
            start = draw.randrange(len(other))
            made[at:at + length] = other[start:start + length]
    return bytes(made)


def attempt(case, path, draw):
    """Read a file and use what it holds; return whether it was refused, and how: "read", "refused" or "not called"."""
    try:
        if case.inputs is not None:
            found = networks.read(case, path, draw)
            return "read" if networks.call(found, case.inputs) else "not called"
        found = sp.io.read_checkpoint(path, everything=draw.random() < 0.3)
        if type(found) is dict:
            sum(float(np.size(value)) for value in found.values() if isinstance(value, np.ndarray))
        return "read"
    except (FileError, ShapeError) as error:
        assert isinstance(error, FileError) or case.kind == "converted", error
        assert "\n" not in str(error) and len(str(error)) < 1000, str(error)
        return "refused"


def changed(case, known, path, draw):
    """Write a file at path that a case was changed to; return its content."""
    if case.told is not None and draw.random() < 0.7:
        return networks.retold(case, path, draw)
    content = mutated(case.content, known, draw)
    if case.kind == "pickle" and draw.random() < 0.7:                    # a pickle in a whole archive
        content = zipped(content, {"0": bytes(24)})
    path.write_bytes(content)
    return content


def main(count, seed, kinds=()):
    assert encodings.cp437 and encodings.raw_unicode_escape              # else imported at the first odd name or text
    for package in (sp.io, sp.layers, sp.models, sp.deploy, sp.functional):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)                         # which are imported when they are first used
    assert difflib.SequenceMatcher
    faulthandler.enable()
    draw, known = random.Random(seed), seeds() + networks.cases()
    by_kind = {}
    for case in known:
        if not kinds or case.kind in kinds:
            by_kind.setdefault(case.kind, []).append(case)
    counts, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        path = Path(folder) / "file"
        for case in known:                                               # what is imported once is imported here
            path.write_bytes(case.content)
            attempt(case, path, draw)
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
        sys.addaudithook(watch)
        for number in range(count):
            kind = draw.choice(list(by_kind))
            case = draw.choice(by_kind[kind])
            path.unlink(missing_ok=True)
            content = changed(case, known, path, draw)
            del seen[:]
            faulthandler.dump_traceback_later(HANGS, exit=True)
            began = time.process_time()
            try:
                counts[kind, attempt(case, path, draw)] += 1
                slowest = max(slowest, time.process_time() - began)
                assert slowest < SLOWEST and not seen, (slowest, seen)
            except BaseException:
                (Path(tempfile.gettempdir()) / f"mutant.{kind}").write_bytes(content)
                print(f"file {number} of seed {seed}, {kind}", flush=True)
                raise
    faulthandler.cancel_dump_traceback_later()
    for kind in by_kind:
        print(f"{kind}: " + ", ".join(f"{n} {what}" for (of, what), n in sorted(counts.items()) if of == kind))
    print(f"{counts.total()} files of seed {seed}, none crashed; slowest {slowest:.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
