"""Builds a CUDA source for the CPU: g++ over the shim, one shared object for each source and mode, kept in build/."""

import hashlib
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
KEPT = HERE.parents[1] / "build" / "cuda_on_host"
MODES = {
    "plain": ["-O2"],
    "asan": ["-O1", "-fsanitize=address,undefined", "-fsanitize-sections=shim_smem", "-fno-sanitize-recover=undefined"],
    "tsan": ["-O1", "-fsanitize=thread"],
}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Wno-clobbered",
            "-Wno-array-bounds", "-Wno-stringop-overflow", "-Wno-maybe-uninitialized"]
WAITS = re.compile(r"__sync|_sync\(")


def kernels_of(text):
    """List the names of the kernels in a CUDA source."""
    plain = re.findall(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(', text)
    return [n for n in plain if n not in ("name", "__launch_bounds__")] + re.findall(r"^\w+_KERNEL\((\w+)", text, re.M)


def build(text, mode="plain"):
    """Build a CUDA source and return the path of the shared object."""
    flags = [*MODES[mode], *([] if WAITS.search(text) else ["-DSHIM_NO_BARRIER"])]
    exports = "".join(f"\nSHIM_EXPORT({name})" for name in kernels_of(text))
    mark = hashlib.sha256("\n".join([text, (HERE / "cuda_shim.h").read_text(), *flags]).encode()).hexdigest()[:16]
    path = KEPT / f"{mode}-{mark}.so"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}")
        command = ["g++", "-x", "c++", "-std=c++20", "-g", "-fPIC", "-shared", *WARNINGS, "-fvisibility=hidden", *flags,
                   "-include", str(HERE / "cuda_shim.h"), "-", "-o", str(made)]
        subprocess.run(command, input=f'#line 1 "kernels.cu"\n{text}{exports}\n'.encode(), check=True)
        made.replace(path)
    return path


def build_all(texts, mode="plain"):
    """Build several sources, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda text: build(text, mode), texts))
