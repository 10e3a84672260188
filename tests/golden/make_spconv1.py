"""Make spconv1.npz: single layers run by the compiled operations of spconv 1.2.1, on one thread.

    pip download --no-deps --only-binary=:all: --python-version 3.10 --platform manylinux_2_35_x86_64 spconv-v1-2-1
    pip download --no-deps --only-binary=:all: --platform macosx_11_0_arm64 --python-version 3.10 torch==2.5.1
    python make_spconv1.py spconv_v1_2_1*.whl torch-2.5.1*.whl

The wheel of spconv contains its own libtorch 2.5.1, so that its Python modules run with no torch that can be installed;
run_spconv1.cpp calls its operations in their order. The other wheel is there for the headers. The file is like that of
make_spconv.py. spconv 1 has no stride and dilation together, and its size 1 is a product of matrices in Python.
"""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SIZE = (9, 7, 8)
CHANNELS = 3, 2
KINDS = ("submanifold", "convolution", "transposed", "inverse", "maximum")


def cases():
    """Yield the options of every kind x size x stride x padding x dilation that spconv 1 has."""
    for size, dilation in itertools.product((3, 5), (1, 2)):
        yield {"kind": "submanifold", "size": size, "stride": 1, "padding": 0, "dilation": dilation}
    for kind in KINDS[1:]:
        for size, stride, padding, dilation in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)):
            if padding * dilation < 4 and (stride == 1 or dilation == 1) and (size > 1 or kind == "maximum"):
                yield {"kind": kind, "size": size, "stride": stride, "padding": padding, "dilation": dilation}


def field_of(kind, size, stride, padding, dilation):
    """Return the field of the coarse or transposed sites, by spconv's formulas."""
    if kind == "submanifold":
        return SIZE
    if kind == "transposed":
        return tuple((n - 1) * stride - 2 * padding + size for n in SIZE)
    return tuple((n + 2 * padding - dilation * (size - 1) - 1) // stride + 1 for n in SIZE)


def weights(kind, size):
    """Return the weights of a case by their names."""
    rng = np.random.default_rng([KINDS.index(kind), size])
    c, o = CHANNELS
    shapes = {"inverse": {"0.weight": (c, o), "1.weight": (o, c)}, "maximum": {}}.get(kind, {"weight": (c, o)})
    return {name: rng.normal(size=(size,) * 3 + shape).astype(np.float32) for name, shape in shapes.items()}


def packed(case, field, sites, rows):
    """Return a case as run_spconv1 reads it."""
    options = [(case[name],) * 3 for name in ("size", "stride", "padding", "dilation")]
    head = (KINDS.index(case["kind"]), 3, 2, len(sites), *CHANNELS)
    numbers = np.concatenate([head, SIZE, field, *options]).astype(np.int32)
    arrays = weights(case["kind"], case["size"]).values()
    return b"".join(array.tobytes() for array in (numbers, sites, rows, *arrays))


def built(folder, wheel, headers):
    """Return the command that runs cases, after building it in a folder."""
    for path in (wheel, headers):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if path == wheel or "/include/" in name])
    libraries = folder / "spconv_v1_2_1.libs"
    linked = [str(next(libraries.glob(f"{name}-*.so"))) for name in ("libtorch_cpu", "libc10")]
    subprocess.run(["g++", "-std=c++17", "-O1", "-w", f"-I{folder / 'torch' / 'include'}",
                    str(HERE / "run_spconv1.cpp"), "-o", str(folder / "run"), *linked, "-ldl",
                    f"-Wl,-rpath,{libraries},--allow-shlib-undefined"], check=True)
    return [str(folder / "run"), str(folder / "spconv" / "libspconv.so"), str(folder / "results")]


def arrays_of(content):
    """Yield the sites and rows of each case."""
    at = 0
    for dtype in itertools.cycle((np.int32, np.float32)):
        if at == len(content):
            return
        n, m = np.frombuffer(content, np.int64, 2, at)
        yield np.frombuffer(content, dtype, n * m, at + 16).reshape(n, m)
        at += 16 + 4 * n * m


def keep(arrays, array):
    """Put an array among those of the file, once, and return its name there."""
    name = hashlib.sha256(array.tobytes() + repr((array.shape, array.dtype)).encode()).hexdigest()[:12]
    arrays[name] = array
    return name


def main(wheel, headers):
    """Write the file and its checksum."""
    rng = np.random.default_rng(0)
    sites = np.unique(np.stack([rng.integers(0, n, 32) for n in (2, *SIZE)], 1), axis=0).astype(np.int32)
    rows = rng.normal(size=(len(sites), CHANNELS[0])).astype(np.float32)
    listed = [(case, field_of(**case)) for case in cases()]
    listed = [(case, field) for case, field in listed if min(field) > 0]
    given = np.int32(len(listed)).tobytes() + b"".join(packed(*both, sites, rows) for both in listed)
    with tempfile.TemporaryDirectory() as name:
        command = built(Path(name), wheel, headers)
        subprocess.run(command, input=given, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        found = list(arrays_of(Path(command[-1]).read_bytes()))
    arrays, written = {"sites": sites, "rows": rows}, []
    for i, (case, field) in enumerate(listed):
        order = np.lexsort(found[2 * i].T[::-1])
        result = {"sites": found[2 * i][order].astype(np.int16), "rows": found[2 * i + 1][order],
                  **weights(case["kind"], case["size"])}
        kept = {name: keep(arrays, array) for name, array in result.items()}
        written.append({**case, "bias": False, "field": SIZE if case["kind"] == "inverse" else field, "arrays": kept})
    np.savez_compressed(HERE / "spconv1.npz", cases=np.array(json.dumps(written)), size=np.array(SIZE), **arrays)
    digest = hashlib.sha256((HERE / "spconv1.npz").read_bytes()).hexdigest()
    (HERE / "spconv1_sha256.txt").write_text(f"{digest}  spconv1.npz\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
