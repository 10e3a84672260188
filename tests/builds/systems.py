"""What a compiler can tell about systems that are not at hand: `make test-systems`; ziglang of PyPI has their headers.

The micro-kernels of every instruction set and the choice between them are compiled and linked for each target, with the
flags of setup.py; clang-cl reads these flags in its own spelling. SYSTEMS names some of the targets:
`make test-systems SYSTEMS="x86_64-linux-musl wasm32-wasi"`. Zig keeps what it compiled in its own cache, so a second
run, also of what did not end, compiles only what is new.
"""

import ast
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from checkout import BUILD, ROOT, run, seconds

KERNELS = ROOT / "spconv_cy/cpu/kernels"
FLAGS = ["-std=c++17", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
X86 = ("avx512f", "avx2", "amx", "avx512bf16", "avx512vnni", "avxvnni", "pclmul", "portable")
ARM = ("neon", "neondot", "armcrc", "portable")
EXACT = ("dots", "widened")                                              # as setup.py has them
TARGETS = {"x86_64-macos": X86, "aarch64-macos": ARM, "x86_64-windows-gnu": X86, "aarch64-linux-musl": ARM,
           "x86_64-linux-musl": X86, "wasm32-wasi": ("portable",)}
# Names of processors are zig's own.
ZIG = {"-march=armv8.2-a+dotprod": "-mcpu=generic+v8_2a+dotprod", "-march=armv8-a+crc": "-mcpu=generic+crc"}
# A program that asks which sets there are needs every kernel. It is linked and not run: what the kernels need of the
# C++ library stands here, since zig would build that library for every system, and C's for musl without -dynamic.
PROGRAM = """
#include "kernels.hpp"
extern "C" {
void __gxx_personality_v0() {}
void __gxx_personality_seh0() {}
void _Unwind_Resume(void*) {}
int __cxa_guard_acquire(void*) { return 0; }
void __cxa_guard_release(void*) {}
void __cxa_guard_abort(void*) {}
}
int main() { return !spconv_cy::select_isa("portable"); }
"""


def main(*names):
    if unknown := set(names) - set(TARGETS):
        sys.exit(f"test-systems: expected some of {', '.join(TARGETS)}, got {', '.join(sorted(unknown))}")
    names = names or tuple(TARGETS)
    print(f"{len(names)} systems; the first time one to two minutes of processor time each, then seconds", flush=True)
    zig = BUILD / "systems/zig"
    if not (zig / "done").is_file():
        run(sys.executable, "-m", "pip", "install", "--quiet", "--target", zig, "ziglang")
        (zig / "done").touch()
    command, env = [sys.executable, "-m", "ziglang"], {**os.environ, "PYTHONPATH": str(zig)}
    for target in names:
        began = seconds()
        out = linked(command, target, TARGETS[target], env)
        print(f"{target}: {', '.join(TARGETS[target])} compiled and linked, {out.stat().st_size >> 10} KiB, "
              f"{seconds() - began:.0f} s of processor time", flush=True)
    clang_cl(command, env)


def sets_of_setup():
    """Return {instruction set: flags} of setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "SETS":
            return {name: flags for name, (flags, _) in ast.literal_eval(node.value).items()}
    raise AssertionError("setup.py has no SETS")


def linked(zig, target, sets, env):
    """Compile and link the kernels; return the program."""
    folder, flags = BUILD / "systems" / target, sets_of_setup()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.cpp").write_text(PROGRAM)
    sources = [folder / "main.cpp", *(KERNELS / f"{name}.cpp" for name in ("dispatch", "dots_dispatch", "crc"))]
    sources += [path for name in sets for path in sorted(KERNELS.glob(f"*_{name}.cpp"))]
    common = ["-target", target, *FLAGS, *(f"-DSPCONV_CY_{name.upper()}" for name in sets), f"-I{KERNELS}"]

    def compiled(source):
        own = [*(ZIG.get(flag, flag) for flag in flags.get(source.stem.rpartition("_")[2], [])),
               *["-ffp-contract=off"] * (source.parent == KERNELS and source.name.startswith(EXACT))]
        run(*zig, "c++", *common, *own, "-c", source, "-o", folder / f"{source.stem}.o", env=env)
        return folder / f"{source.stem}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    run(*zig, "cc", "-target", target, *["-dynamic"] * target.endswith("musl"), *objects, "-o", folder / "program",
        env=env)
    return folder / "program"


def clang_cl(zig, env):
    """Have clang-cl, which is clang under another name, read the flags of setup.py; unknown ones are errors."""
    flags = ["/std:c++17", "/O2", "/W3", "/MD", *(f"/clang:{flag}" for flag in FLAGS[3:]), "/clang:-fopenmp"]
    for name, own in sets_of_setup().items():
        processor = "aarch64" if name.startswith(("neon", "arm")) else "x86_64"
        run(*zig, "clang", "--driver-mode=cl", "-###", "-Werror=unknown-argument",
            "-Werror=unused-command-line-argument", f"--target={processor}-pc-windows-msvc", *flags, *own, "/c",
            KERNELS / "dispatch.cpp", env=env)
    print("clang-cl: takes the flags of setup.py")


if __name__ == "__main__":
    main(*sys.argv[1:])
