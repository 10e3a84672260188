"""What a compiler can tell about systems that are not at hand: `make test-systems`; ziglang of PyPI has their headers.

The micro-kernels of every instruction set and the choice between them are compiled and linked for each target, with the
flags of setup.py. The flags in clang-cl's spelling are tried where clang-cl is.
"""

import ast
import os
import shutil
import sys
from pathlib import Path

from checkout import BUILD, ROOT, run

KERNELS = ROOT / "spconv_cy/cpu/kernels"
FLAGS = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
X86 = ("avx512f", "avx2", "amx", "avx512bf16", "avx512vnni", "avxvnni", "portable")
ARM = ("neon", "neondot", "portable")
EXACT = ("dots", "widened")                                              # as setup.py has them
TARGETS = {"x86_64-macos": X86, "aarch64-macos": ARM, "x86_64-windows-gnu": X86, "aarch64-linux-musl": ARM,
           "x86_64-linux-musl": X86, "wasm32-wasi": ("portable",)}
ZIG = {"-march=armv8.2-a+dotprod": "-mcpu=generic+v8_2a+dotprod"}        # names of processors are zig's own
# A program that asks which sets there are needs every kernel.
PROGRAM = """
#include "kernels.hpp"
int main() { return !spconv_cy::select_isa("portable"); }
"""


def main():
    zig = BUILD / "systems/zig"
    if not (zig / "done").is_file():
        run(sys.executable, "-m", "pip", "install", "--quiet", "--target", zig, "ziglang")
        (zig / "done").touch()
    for target, sets in TARGETS.items():
        out = linked([sys.executable, "-m", "ziglang", "c++", "-target", target], target, sets,
                     {**os.environ, "PYTHONPATH": str(zig)})
        print(f"{target}: {', '.join(sets)} compiled and linked, {out.stat().st_size >> 10} KiB", flush=True)
    clang_cl()


def sets_of_setup():
    """Return {instruction set: flags} of setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "SETS":
            return {name: flags for name, (flags, _) in ast.literal_eval(node.value).items()}
    raise AssertionError("setup.py has no SETS")


def linked(compiler, target, sets, env):
    """Compile and link the kernels; return the program."""
    folder, flags = BUILD / "systems" / target, sets_of_setup()
    folder.mkdir(parents=True, exist_ok=True)
    defined = [f"-DSPCONV_CY_{name.upper()}" for name in sets]
    (folder / "main.cpp").write_text(PROGRAM)
    sources = [folder / "main.cpp", KERNELS / "dispatch.cpp", KERNELS / "dots_dispatch.cpp"]
    sources += [path for name in sets for path in sorted(KERNELS.glob(f"*_{name}.cpp"))]
    for source in sources:
        own = [*(ZIG.get(flag, flag) for flag in flags.get(source.stem.rpartition("_")[2], [])),
               *["-ffp-contract=off"] * (source.parent == KERNELS and source.name.startswith(EXACT))]
        run(*compiler, *FLAGS, *defined, *own, f"-I{KERNELS}", "-c", source, "-o", folder / f"{source.stem}.o", env=env)
    out = folder / "program"
    run(*compiler, *(folder / f"{source.stem}.o" for source in sources), "-o", out, env=env)
    return out


def clang_cl():
    """Have clang-cl read the flags that setup.py gives it; unknown ones are errors."""
    found = shutil.which("clang-cl") or next(map(str, sorted(Path("/usr/bin").glob("clang-cl-*"))), None)
    if found is None:
        print("clang-cl: not found, its flags are not tried")
        return
    flags = ["/std:c++17", "/O2", "/W3", "/MD", *(f"/clang:{flag}" for flag in FLAGS[2:]), "/clang:-fopenmp"]
    for own in sets_of_setup().values():
        run(found, "-###", "-Werror=unknown-argument", "--target=x86_64-pc-windows-msvc", *flags, *own, "/c",
            KERNELS / "dispatch.cpp")
    print(f"{Path(found).name}: takes the flags of setup.py")


if __name__ == "__main__":
    main()
