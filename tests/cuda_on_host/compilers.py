"""Compiles the CUDA sources for every architecture by nvcc and NVRTC, without a GPU; reads what each kernel takes."""

import ctypes
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from host_build import KEPT, kernels_of

from spconv_cy.cuda import loader

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
WHEELS = KEPT.parent / "cuda_wheels"
CUPY = "cupy-cuda13x>=14,<15 cuda-pathfinder>=1.3.4,<2"
# What a kernel may take on any of the architectures: registers of a thread, bytes of static shared memory of a block.
# 80 registers let 3 blocks of 256 threads stand on one multiprocessor, 64 let 4; those of mma have 128 threads.
BOUNDS = {
    "conv_64x64": (80, 17700), "conv_128x32": (80, 22100), "conv_turned_64x64": (80, 17700),
    "conv_turned_128x32": (80, 22100), "conv_dw_part": (64, 8500), "mma_64x64": (96, 20800), "mma_128x32": (96, 26200),
    "mma_dw_part": (128, 18500), "max_pool": (64, 0), "max_pool_dx": (64, 0),
    "sum_pool": (64, 0), "segment_sum": (64, 0), "segment_max": (64, 0), "add_rows": (64, 0), "chunk_sum": (64, 0),
    "leaky_relu": (64, 0),
    "leaky_relu_dx": (64, 0), "affine": (64, 0), "affine_dx": (64, 0), "affine_sums_part": (64, 0),
    "moments_part": (64, 0),
}
BOUNDS |= {f"{name}, Half": bound for name, bound in BOUNDS.items() if not name.startswith("conv")}
STRICT = ["-std=c++17", "-Werror", "all-warnings", "--ptxas-options=-v,-warn-spills,-warn-lmem-usage"]


def installed(package, pattern):
    """Return the file of NVIDIA's wheels, which are installed into build/ where they are not yet."""
    # Each into a folder of its own: all of them begin with nvidia/, which pip would replace as a whole.
    packages = package.split()
    folder = WHEELS / packages[0].split(">")[0]
    if not list(folder.rglob(pattern)):
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target",
                        str(folder), *packages], check=True)
    return sorted(folder.rglob(pattern))[0]


def nvcc():
    """Return the machine's nvcc, else that of NVIDIA's wheels."""
    found = shutil.which("nvcc")
    return found or str(installed("nvidia-cuda-nvcc>=13,<14 nvidia-cuda-crt>=13,<14 nvidia-nvvm>=13,<14 "
                                  "nvidia-cuda-runtime>=13,<14", "bin/nvcc"))


def compile_by_nvcc(form, architecture):
    """Compile a source for a type of features; return {kernel: (registers, shared)}; a warning or spill is an error."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{form[1]}_{architecture}_{form[0]}"
    path.write_text(loader.source(*form))
    return taken(nvcc_log(path, architecture), form[1])


def nvcc_log(path, architecture):
    """Compile a file by nvcc; return what it says."""
    command = [nvcc(), "-cubin", f"-arch=sm_{architecture}", *STRICT, str(path), "-o",
               str(KEPT / f"{path.stem}_{architecture}.cubin")]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"nvcc, {path.name}, sm_{architecture}:\n{done.stdout}")
    return done.stdout


def compile_by_nvrtc(form, architecture):
    """Compile as CuPy does at run time; return {kernel: (registers, shared)}."""
    library = ctypes.CDLL(str(installed("nvidia-cuda-nvrtc>=13,<14", "libnvrtc.so.1*")))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), loader.source(*form).encode(), form[0].encode(), 0, None, None)
    options = [f"--gpu-architecture=sm_{architecture}", "-std=c++17", "--ptxas-options=-v",
               "--ptxas-options=-warn-spills", "--ptxas-options=-warn-lmem-usage"]
    status = library.nvrtcCompileProgram(program, len(options),
                                         (ctypes.c_char_p * len(options))(*(o.encode() for o in options)))
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode()
    if status or "warning" in text.lower():
        raise RuntimeError(f"NVRTC, {form}, sm_{architecture}:\n{text}")
    return taken(text, form[1])


def named(kernel, real):
    """Name a kernel's form for a type of features; for float it has the kernel's own name."""
    return kernel if real == "float" else f"{kernel}, {real}"


def taken(log, real):
    """Read ptxas's log: {form of a kernel: (registers, bytes of shared memory)}."""
    found = {}
    for name, rest in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", log, re.S):
        shared = re.search(r"(\d+) bytes smem", rest)
        found[named(name, real)] = (int(re.search(r"Used (\d+) registers", rest)[1]), int(shared[1]) if shared else 0)
    return found


def compile_all():
    """Compile all by both; return {(compiler, architecture): {kernel: (registers, shared)}}.

    Raises:
        RuntimeError: a warning, a spill, a kernel that is missing or takes more than its bound.
    """
    kernels = {named(name, form[1]) for form in loader.forms() for name in kernels_of(loader.source(*form))}
    compilers = {"nvcc": compile_by_nvcc, "NVRTC": compile_by_nvrtc}
    jobs = [(how, architecture, form) for how in compilers for architecture in ARCHITECTURES for form in loader.forms()]
    nvcc(), installed("nvidia-cuda-nvrtc>=13,<14", "libnvrtc.so.1*")     # before the threads
    with ThreadPoolExecutor(2) as pool:
        logs = list(pool.map(lambda job: compilers[job[0]](job[2], job[1]), jobs))
    table = {}
    for (how, architecture, _), log in zip(jobs, logs, strict=True):
        table.setdefault((how, architecture), {}).update(log)
    for where, found in table.items():
        if set(found) != kernels or kernels != set(BOUNDS):
            raise RuntimeError(f"{where}: kernels {sorted(set(found) ^ kernels | kernels ^ set(BOUNDS))} are "
                               "missing or have no bound")
        for name, (registers, shared) in found.items():
            if registers > BOUNDS[name][0] or shared > BOUNDS[name][1]:
                raise RuntimeError(f"{where}: {name} takes {registers} registers and {shared} bytes of shared memory; "
                                   f"{BOUNDS[name]} at most fit")
    return table


def shown(table):
    """Write the table as text: registers by nvcc / NVRTC on each architecture, and shared memory."""
    lines = [f"{'kernel':<24}" + "".join(f"{f'sm_{a}':>9}" for a in ARCHITECTURES) + "   shared"]
    for name in BOUNDS:
        cells = ["/".join(str(table[how, a][name][0]) for how in ("nvcc", "NVRTC")) for a in ARCHITECTURES]
        shared = max(found[name][1] for found in table.values())
        lines.append(f"{name:<24}" + "".join(f"{cell:>9}" for cell in cells) + f"{shared:>9}")
    return "\n".join(lines)
