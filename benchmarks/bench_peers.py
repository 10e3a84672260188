"""Ours and the other libraries in one run, in turn; `--install` makes the environment of the others.

    python benchmarks/bench_peers.py --install          says what it downloads, makes .venv-peers
    python benchmarks/bench_peers.py [--rounds 5] [--only Scan UNet] [--sides spconv MinkowskiEngine]

A peer that is not there, or cannot run a case, is told of and left out. SparseConvNet is in no registry: its times in
peers/times.csv stand beside, scaled by the peaks; with SPARSECONVNET=FOLDER, a build of your own with the torch of
.venv-peers, it runs, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import goals
import picture
from runner import Run, Worker

HOME = Path(__file__).parent.parent / ".venv-peers"
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BLAS = HOME / "openblas"
SIDES = {"spconv": "peers.spconv_wheel", "MinkowskiEngine": "peers.minkowski", "torch dense": "peers.torch_dense",
         "scipy sparse": "peers.scipy_sparse", "Paddle": "peers.paddle_sparse"}
if os.environ.get("SPARSECONVNET"):
    SIDES["SparseConvNet"] = "peers.sparseconvnet_source"
SLOW = {"torch dense", "scipy sparse"}                  # fewer rounds show the same
ROUNDS_OF_SLOW = 2
# numpy below 2.5 and setuptools below 60 build MinkowskiEngine, whose setup asks numpy.distutils for a BLAS.
PACKAGES = ["torch==2.13.0", "spconv==2.3.8", "numpy<2.5", "scipy", "setuptools==59.8.0", "wheel", "ninja"]
PADDLE = "paddlepaddle==3.3.1"                          # may fail, as MinkowskiEngine may
SIZES = """\
This makes {home}, about 1.3 GB of disk, from these downloads:
  torch 2.13.0            190 MB where pip finds a CPU build (download.pytorch.org/whl/cpu, or a file), else about 3 GB
                          with CUDA, of which nothing is used; PEERS_INDEX=URL names an index for it
  spconv 2.3.8            1.5 MB, cumm, pccm and others 20 MB
  numpy, scipy, ninja     60 MB
  paddlepaddle 3.3.1      200 MB, with protobuf, networkx and others
  MinkowskiEngine 0.5.4   0.25 MB of source, compiled for 10 to 30 minutes; needs a C++ compiler and an OpenBLAS with
                          its headers (Debian: libopenblas-dev, 12 MB), or OPENBLAS=FOLDER with lib/ and include/
"""


def install():
    """Make the environment; MinkowskiEngine may fail, and is left out then."""
    print(SIZES.format(home=HOME), flush=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    index = ["--index-url", os.environ["PEERS_INDEX"]] if os.environ.get("PEERS_INDEX") else []
    subprocess.run([*pip, *index, PACKAGES[0]], check=True)
    subprocess.run([*pip, *PACKAGES[1:]], check=True)
    if subprocess.run([*pip, PADDLE]).returncode:
        print("paddlepaddle could not be installed and is left out")
    if not _has_minkowski() and not (HOME / "no-minkowski").exists():
        _build_minkowski(pip)


def _build_minkowski(pip):
    variables = dict(os.environ, SETUPTOOLS_USE_DISTUTILS="stdlib", MAX_JOBS=str(os.cpu_count()),
                     PATH=f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}")
    blas = os.environ.get("OPENBLAS")
    if blas:
        shutil.copytree(blas, BLAS, dirs_exist_ok=True)
        blas = BLAS
        variables.update(CPATH=f"{blas}/include", LIBRARY_PATH=f"{blas}/lib", LDFLAGS=f"-Wl,-rpath,{blas}/lib")
    print("building MinkowskiEngine ...", flush=True)
    built = subprocess.run([*pip, "--no-build-isolation", "--no-deps", "MinkowskiEngine==0.5.4"], env=variables,
                           capture_output=True, text=True)
    if built.returncode or not _has_minkowski():
        (HOME / "no-minkowski").write_text(built.stdout + built.stderr)
        print(f"MinkowskiEngine did not build here and is left out; {HOME}/no-minkowski says why (once that is "
              "removed, it is tried again)")


def _has_minkowski():
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('MinkowskiEngineBackend') is None)"
    return subprocess.run([str(PYTHON), "-c", program]).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="names of cases")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), help="names of peers")
    parser.add_argument("--record", default="benchmarks/records/peers.json")
    options = parser.parse_args()
    if options.install:
        return install()
    if not shutil.which(str(PYTHON)):
        sys.exit(f"{PYTHON} is not there: run `make bench-peers`, or this with --install, first")
    ours = Worker("ours", "bench_net", threads=options.threads)
    libraries = {"LD_LIBRARY_PATH": str(BLAS / "lib")} if BLAS.exists() else {}      # MinkowskiEngine finds it there
    peers = [Worker(name, SIDES[name], str(PYTHON), options.threads, libraries) for name in options.sides]
    run = Run([ours, *peers], options.threads)
    for case, params in goals.CASES:
        if not options.only or case in options.only:
            run.measure(case, params, options.rounds, slow=SLOW, rounds_of_slow=ROUNDS_OF_SLOW)
    run.close()
    goals.tell(run.record())
    run.save(options.record)
    picture.faster(run.record(), options.record)


if __name__ == "__main__":
    main()
