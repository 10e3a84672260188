"""Build the compiled core: every .pyx is a module, the micro-kernels are compiled once for each instruction set.

In place each module is a file, so that one that changed is built alone. In a wheel those of a package share one file,
from which modules of Python load them: most of a small extension module is tables that each file has anew.

SPCONV_CY_OPENMP=0 builds without threads, SPCONV_CY_DEBUG=1 with checks, SPCONV_CY_SANITIZE=address,undefined with
those sanitizers. A change of these three, of the compiler (CC, CXX) or of DIRECTIVES compiles everything anew. Debug
symbols stay with the last two, or where CFLAGS or CXXFLAGS ask for them: Python's own flags do so for every extension.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import Cython
import setuptools
from Cython.Build import cythonize
from Cython.Compiler.Options import get_directive_defaults
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("spconv_cy/cpu/kernels")
SEEKS = sorted(KERNELS.glob("seek_*.cpp"))
# The modules that micro-kernels are linked into, and which.
LINKED = {"spconv_cy.cpu.isa": sorted({*KERNELS.glob("*.cpp")}.difference(SEEKS)), "spconv_cy.cpu.maps": SEEKS}
# What Cython adds to every module that takes arrays, compiled once instead of a dozen times.
SHARED = "spconv_cy.compiled.shared"
# Packages whose modules share a file in a wheel, and the name of that file.
TOGETHER = "modules"
PACKAGES = ("spconv_cy.compiled", "spconv_cy.cpu")
STUB = '''"""{name}, which lies in {file}.*"""
from spconv_cy.lazy import load_shared

load_shared(__name__, __file__)
'''
# Compiled without fused multiply-adds but those that are asked for: so the results of steps are those of numpy's
# separate operations, and kernels of small numbers have the same bits in every instruction set.
EXACT = "spconv_cy/cpu/steps"
EXACT_KERNELS = ("dots", "widened")
DEBUG = os.environ.get("SPCONV_CY_DEBUG", "0") not in ("", "0")
SANITIZE = os.environ.get("SPCONV_CY_SANITIZE", "")
OPENMP = os.environ.get("SPCONV_CY_OPENMP", "1") != "0"
SYMBOLS = DEBUG or SANITIZE or any(flag.startswith("-g") for name in ("CFLAGS", "CXXFLAGS")
                                   for flag in os.environ.get(name, "").split())
# Functions are built-in ones, which take less and import sooner than those of Cython; the text that their signature is
# read from holds only literals: a function with another default is Cython's.
DIRECTIVES = {"language_level": 3, "embedsignature": True, "embedsignature.format": "clinic", "binding": False,
              "show_performance_hints": False}
# Segments of a library share pages of the file: a dozen kilobytes less for each of dozens of modules.
SMALL = "-Wl,-z,noseparate-code"
# With which variables build/ was filled: what time stamps would not tell.
STAMP = Path("build", "variant.txt")
VARIANT = (f"debug={DEBUG} sanitize={SANITIZE} openmp={OPENMP} symbols={bool(SYMBOLS)} "
           f"compiler={os.environ.get('CC', '')} {os.environ.get('CXX', '')} directives={DIRECTIVES}\n")

# What each set's files are compiled with, and a program that compiles where compiler and target have the set.
SETS = {
    "avx512f": (["-mavx512f", "-mfma", "-mprefer-vector-width=512"],
                "#include <immintrin.h>\nint main() { return (int)_mm512_reduce_add_ps(_mm512_set1_ps(0)); }"),
    "avx2": (["-mavx2", "-mfma"],
             "#include <immintrin.h>\nint main() { return _mm256_movemask_ps(_mm256_fmadd_ps("
             "_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps())); }"),
    "amx": (["-mavx512f", "-mavx512bw", "-mamx-tile", "-mamx-int8", "-mamx-bf16"],
            "#include <immintrin.h>\nint main() { _tile_zero(0); _tile_dpbusd(0, 1, 2); _tile_dpbf16ps(0, 1, 2); }"),
    "avx512bf16": (["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512bf16"],
                   "#include <immintrin.h>\nint main() { __m512 a = _mm512_set1_ps(0); return (int)"
                   "_mm512_reduce_add_ps(_mm512_dpbf16_ps(a, (__m512bh)a, (__m512bh)a)); }"),
    "avx512vnni": (["-mavx512f", "-mavx512vnni"],
                   "#include <immintrin.h>\nint main() { __m512i a = _mm512_set1_epi32(0); return "
                   "_mm512_reduce_add_epi32(_mm512_dpbusd_epi32(a, a, a)); }"),
    "avxvnni": (["-mavx2", "-mfma", "-mavxvnni"],
                "#include <immintrin.h>\nint main() { __m256i a = _mm256_set1_epi32(0); return "
                "_mm256_movemask_epi8(_mm256_dpbusd_avx_epi32(a, a, a)); }"),
    "neondot": (["-march=armv8.2-a+dotprod"],
                "#include <arm_neon.h>\nint main() { int8x16_t a = vdupq_n_s8(0); return "
                "vgetq_lane_s32(vdotq_s32(vdupq_n_s32(0), a, a), 0); }"),
    "neon": ([], "#include <arm_neon.h>\n#ifndef __aarch64__\n#error\n#endif\n"
                 "int main() { float32x4_t a = vdupq_n_f32(0); return (int)vgetq_lane_f32(vfmaq_f32(a, a, a), 0); }"),
    "pclmul": (["-mpclmul"],
               "#include <emmintrin.h>\n#include <wmmintrin.h>\nint main() { __m128i a = _mm_set1_epi32(0); return "
               "_mm_cvtsi128_si32(_mm_clmulepi64_si128(a, a, 0)); }"),
    "armcrc": (["-march=armv8-a+crc"],
               "#include <arm_acle.h>\n#ifndef __aarch64__\n#error\n#endif\n"
               "int main() { return (int)__crc32d(0, 0); }"),
    "portable": ([], "int main() { return 0; }"),
}
OPENMP_PROGRAM = "#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }"
# OpenMP 5.0: sends the runtime's threads home, as must be before a fork.
PAUSE_PROGRAM = "#include <omp.h>\nint main() { return omp_pause_resource_all(omp_pause_soft); }"
OPENMP_FLAGS = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),
                (["-fopenmp"], ["libomp.lib"])]


def extensions():
    """List an extension for every .pyx below spconv_cy."""
    found = []
    for path in sorted(Path("spconv_cy").rglob("*.pyx")):
        name = ".".join(path.with_suffix("").parts)
        sources = [str(path), *map(str, LINKED.get(name, []))]
        headers = "*.[hi]*" if name in LINKED else "*.hpp"               # of the kernels, or included by .pxd files
        found.append(Extension(name, sources, language="c++", include_dirs=[str(KERNELS)],
                               depends=[str(header) for header in sorted(KERNELS.glob(headers))]))
    return found


def together(extensions):
    """Make one extension of all those of a package; its file has a function PyInit for each module."""
    found = [extension for extension in extensions if extension.name.rpartition(".")[0] not in PACKAGES]
    for package in PACKAGES:
        parts = [extension for extension in extensions if extension.name.rpartition(".")[0] == package]
        sources, depends = (sum((getattr(part, kind) for part in parts), []) for kind in ("sources", "depends"))
        found.append(Extension(f"{package}.{TOGETHER}", sources, language="c++", include_dirs=[str(KERNELS)],
                               depends=sorted({*depends})))
    return found


class BuildExtensions(build_ext):
    """Probes the compiler, then gives each file the flags of its instruction set, told by its name."""

    def finalize_options(self):
        modules = self.distribution.ext_modules
        self.together = not self.inplace and not self.editable_mode     # `inplace` changes while extensions are built
        if self.together:
            self.distribution.ext_modules = together(modules)            # where it is looked up
        super().finalize_options()
        self.distribution.ext_modules = modules                          # pip may finalize for a wheel, then in place
        self.parallel = self.parallel or min(os.cpu_count() or 1, 8)
        self.force = self.force or is_new_variant()

    def build_extensions(self):
        # Microsoft's own compiler has no vector types; clang-cl has, and links with the same libraries.
        self.clang_cl = self.compiler.compiler_type == "msvc"
        if self.clang_cl:
            self.compiler.initialize()
            self.compiler.cc = "clang-cl"
        self.sets = {name: flags for name, (flags, program) in SETS.items() if self.compiles(program, flags)}
        common = ["-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
        common += ["-O1", "-g", "-UNDEBUG"] if DEBUG else []
        common += [] if SYMBOLS else ["-g0"]
        link = [SMALL] if not self.clang_cl and self.compiles(SETS["portable"][1], [], [SMALL]) else []
        if SANITIZE:
            common += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
            link += [f"-fsanitize={SANITIZE}"]
        compile_openmp, link_openmp = self.openmp()
        pauses = link_openmp and self.compiles(PAUSE_PROGRAM, compile_openmp, link_openmp)
        for extension in self.extensions:
            extension.extra_compile_args += common + compile_openmp
            extension.extra_compile_args += [] if DEBUG else ["-O3" if has_loops(extension) else "-Os"]
            extension.extra_link_args += link + link_openmp
            extension.define_macros += [(f"SPCONV_CY_{name.upper()}", "1") for name in self.sets]
            extension.define_macros += [("SPCONV_CY_OMP_PAUSE", "1")] if pauses else []
            extension.sources = [source for source in extension.sources if self.fits(source)]
        self.flag_by_file()
        STAMP.parent.mkdir(exist_ok=True)
        STAMP.write_text("unfinished\n")
        super().build_extensions()
        if self.together:
            self.write_stubs()
        STAMP.write_text(VARIANT)

    def write_stubs(self):
        """Write a module of Python for each that shares a file, and remove what a build in place left of it."""
        for name in (extension.name for extension in self.distribution.ext_modules):
            if name.rpartition(".")[0] in PACKAGES:
                Path(self.build_lib, self.get_ext_filename(name)).unlink(missing_ok=True)
                path = Path(self.build_lib, *name.split(".")).with_suffix(".py")
                path.write_text(STUB.format(name=name, file=TOGETHER))

    def get_export_symbols(self, extension):
        """Return []: Python's headers export the function PyInit of each module, on Windows too."""
        return []

    def fits(self, source):
        """Tell whether the compiler can make this file: all but micro-kernels of a set that it lacks."""
        return Path(source).parent != KERNELS or set_of(source) in (None, *self.sets)

    def flag_by_file(self):
        """Add a set's flags to the files of that set, and compile the files of an extension side by side."""
        compile_all = self.compiler.compile

        def compile_one(source, extra_postargs=None, **options):
            exact = is_exact(Path(source))
            flags = [*(extra_postargs or []), *self.sets.get(set_of(source), []), *["-ffp-contract=off"] * exact]
            return compile_all([source], extra_postargs=self.spelt(flags), **options)

        def side_by_side(sources, **options):
            with ThreadPoolExecutor(self.parallel) as pool:
                return sum(pool.map(lambda source: compile_one(source, **options), sources), [])

        self.compiler.compile = side_by_side

    def spelt(self, flags):
        """Return flags as the compiler spells them; clang-cl takes most of clang's after /clang:."""
        if not self.clang_cl:
            return list(flags)
        own = {"-std=c++17": ["/std:c++17"], "-O3": ["/O2"], "-Os": ["/O1"], "-g0": []}
        return sum((own.get(flag, [flag if flag.startswith("-m") else f"/clang:{flag}"]) for flag in flags), [])

    def openmp(self):
        """Return the flags (compile, link) of OpenMP; none where the compiler lacks it: then one thread does all."""
        for compile_flags, link_flags in OPENMP_FLAGS if OPENMP else []:
            if self.compiles(OPENMP_PROGRAM, compile_flags, link_flags):
                return compile_flags, link_flags
        return [], []

    def compiles(self, program, flags=(), link_flags=None):
        """Try a small program; it is linked too where link_flags are given."""
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder, "probe.cpp"), Path(folder, "probe")
            source.write_text(program + "\n")
            command = ["clang-cl"] if self.clang_cl else list(getattr(self.compiler, "compiler_cxx", None) or ["c++"])
            command += [str(source), *self.spelt(["-std=c++17", *flags])]
            command += ["-c"] if link_flags is None else list(link_flags)
            command += [f"/Fe{out}.exe" if link_flags else f"/Fo{out}.obj"] if self.clang_cl else ["-o", str(out)]
            try:
                return subprocess.run(command, capture_output=True).returncode == 0
            except OSError:
                return False


def has_loops(extension):
    """Tell whether a module computes; the others check and allocate arrays, and are built small."""
    return extension.name.startswith("spconv_cy.cpu.")


def is_exact(path):
    """Tell whether a source is compiled without fused multiply-adds but those that are asked for."""
    return (path.parent.name == KERNELS.name and path.name.startswith(EXACT_KERNELS)
            or path.with_suffix("").as_posix().endswith(EXACT))


def set_of(source):
    """Return the instruction set in a file's name (igemm_avx2.cpp: avx2), or None."""
    name = Path(source).stem.rpartition("_")[2]
    return name if name in SETS and Path(source).parent.name == KERNELS.name else None


def is_new_variant():
    """Tell whether what lies under build/ was made with other variables, or not to the end."""
    return STAMP.is_file() and STAMP.read_text() != VARIANT


def shared_module():
    """List the extension of what Cython's modules share; none where Cython is older than that."""
    if tuple(map(int, Cython.__version__.split(".")[:2])) < (3, 2):
        return []
    path = Path("build", *SHARED.split(".")).with_suffix(".cpp")
    if is_new_variant() or not path.is_file() or f"Cython {Cython.__version__} " not in path.read_text()[:100]:
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "cython", "-3", "--cplus", "--generate-shared", str(path)], check=True)
    return [Extension(SHARED, [str(path)], language="c++")]


def compiled():
    """Translate the .pyx files to C++ under build/, by Cython's own directives: array elements are checked, which the
    parts in cpu/ do not use, and division is Python's (docs/kernels.md)."""
    # Cython has the word from 3.1 on. What modules keep is set once, at import; that of compiled/memory.pyx is locked.
    known = {"freethreading_compatible": True} if "freethreading_compatible" in get_directive_defaults() else {}
    shared = shared_module()
    named = {"shared_utility_qualified_name": SHARED} if shared else {}
    return shared + cythonize(extensions(), **named, build_dir="build", force=is_new_variant(),
                              nthreads=2 if sys.platform == "linux" else 0,
                              compiler_directives={**DIRECTIVES, **known})


if __name__ == "__main__":
    if int(setuptools.__version__.split(".")[0]) < 77:
        sys.exit(f"setuptools {setuptools.__version__} came; 77 or newer fits (pyproject.toml's licence field): "
                 "pip install --upgrade setuptools")
    setup(ext_modules=compiled(), cmdclass={"build_ext": BuildExtensions})
