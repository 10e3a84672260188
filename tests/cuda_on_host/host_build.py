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
    "draft": ["-O0"],                                                    # of what runs once: half the time to build
    "asan": ["-O1", "-fsanitize=address,undefined", "-fsanitize-sections=shim_smem", "-fno-sanitize-recover=undefined"],
    "tsan": ["-O1", "-fsanitize=thread"],
}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Wno-clobbered",
            "-Wno-array-bounds", "-Wno-stringop-overflow", "-Wno-maybe-uninitialized"]
WAITS = re.compile(r"__sync|_sync\(")
ASM = re.compile(r'\basm(?: volatile)?\(((?:\s*"[^"]*")+)(.*?)\);', re.S)


def kernels_of(text):
    """List the names of the kernels in a CUDA source."""
    plain = re.findall(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(', text)
    return [n for n in plain if n not in ("name", "__launch_bounds__")] + re.findall(r"^\w+_KERNEL\((\w+)", text, re.M)


def assembled(text):
    """Put a call of the shim in the place of each PTX instruction: ptx_NAME(operands, in the instruction's order).

    Operand %n is the n-th in brackets after the text, numbers stay; dots and colons in the name become underscores.
    """
    def call(match):
        instruction, *operands = "".join(re.findall('"([^"]*)"', match[1])).rstrip(";").split(None, 1)
        given = re.findall(r'"[=+]?\w"\(((?:[^()]|\([^()]*\))*)\)', match[2])
        words = re.findall(r"%?\w+", operands[0]) if operands else []
        filled = [given[int(word[1:])] if word.startswith("%") else word for word in words]
        lines = "\n" * match[0].count("\n")                              # so that an error's line is the source's
        return f"ptx_{re.sub('[.:]+', '_', instruction)}({', '.join(filled)});{lines}"

    return ASM.sub(call, text)


def build(text, mode="plain"):
    """Build a CUDA source and return the path of the shared object."""
    text = assembled(text)
    flags = MODES[mode] + ([] if WAITS.search(text) else ["-DSHIM_NO_BARRIER"])
    if "__CUDA_ARCH__" in text:
        flags.append(f"-D__CUDA_ARCH__={os.environ.get('SHIM_ARCH', '80')}0")
    exports = "".join(f"\nSHIM_EXPORT({name})" for name in kernels_of(text))
    shims = [(HERE / name).read_text() for name in ("cuda_shim.h", "ptx_shim.h")]
    mark = hashlib.sha256("\n".join([text, *shims, *flags]).encode()).hexdigest()[:16]
    path = KEPT / f"{mode}-{mark}.so"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}")
        command = ["g++", "-x", "c++", "-std=c++20", "-g", "-fPIC", "-shared", *WARNINGS, "-fvisibility=hidden", *flags,
                   "-include", str(HERE / "cuda_shim.h"), "-include", str(HERE / "ptx_shim.h"), "-", "-o", str(made)]
        subprocess.run(command, input=f'#line 1 "kernels.cu"\n{text}{exports}\n'.encode(), check=True)
        made.replace(path)
    return path


def build_all(texts, mode="plain"):
    """Build several sources, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda text: build(text, mode), texts))
