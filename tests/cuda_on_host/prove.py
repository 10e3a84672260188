"""Show all that can be shown of the CUDA kernels without a GPU; the last line counts it: `make test-cuda`."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import compilers
import mutants
import record

SANITIZERS = {"asan": "AddressSanitizer and UBSan", "tsan": "ThreadSanitizer"}


def main():
    began = time.monotonic()

    def said(text):
        print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)

    table = compilers.compile_all()
    said("compiled by nvcc and NVRTC, warnings and spills as errors; registers of a thread (nvcc/NVRTC), shared bytes\n"
         f"{compilers.shown(table)}")
    if record.stale(table):
        sys.exit(f"{record.RECORD.name} is not what was compiled now: {record.stale(table)}; run record.py")
    tests = host_tests()
    said(f"{tests} tests on the host, in four orders of blocks and threads")
    jobs = [(mode, what) for what in ("layers", "verbs", "float16", "tf32") for mode in ("tsan", "asan")]
    with ThreadPoolExecutor(2) as pool:
        for (mode, what), done in zip(jobs, pool.map(lambda job: mutants.run(job[0], what=job[1]), jobs), strict=True):
            if done.returncode:
                sys.exit(f"{what} under {SANITIZERS[mode]}:\n{done.stdout[-4000:]}")
            said(f"{what} under {SANITIZERS[mode]}: clean")
    faults = mutants.faults()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(mutants.caught, faults))
    for (name, *_), mode in zip(faults, found, strict=True):
        said(f"{'caught by ' + mode if mode else 'NOT CAUGHT':<18} {name}")
    n = sum(mode is not None for mode in found)
    print(f"cuda: {len(compilers.BOUNDS)} kernels x {len(compilers.ARCHITECTURES)} architectures compiled, "
          f"{tests} tests on the host, {n} of {len(faults)} faults caught")
    sys.exit(n != len(faults))


def host_tests():
    """Run all tests of this folder, the slow ones too; return how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not gpu", "-n", "2", "--dist", "worksteal",
               str(mutants.HERE)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode or not passed:
        sys.exit(done.stdout)
    return int(passed[1])


if __name__ == "__main__":
    main()
