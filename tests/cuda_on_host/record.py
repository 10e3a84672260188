"""Write down what the kernels take, for the account in docs/cuda.md: `python tests/cuda_on_host/record.py`.

The record is data: benchmarks/cuda_account.py computes from it, `make test-cuda` compares it with what it compiles.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import compilers
import numpy as np
from mutants import CUDA

from spconv_cy.cuda import loader

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "records" / "cuda_kernels.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prototype", type=Path, help="an earlier source to be set beside; by default as it was")
    options = parser.parse_args()
    before = json.loads(RECORD.read_text()) if RECORD.exists() else {"prototype": {}}
    record = {"compiler": compiler(), "sources": sources(), "scan": scan(),
              "kernels": taken_by(compilers.compile_by_nvcc, loader.forms()),
              "prototype": taken_by(prototype, [options.prototype]) if options.prototype else before["prototype"]}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def stale(table):
    """Say where a table of compilers.compile_all is not what was written down; "" where it is, or nvcc is another."""
    kept, found = json.loads(RECORD.read_text()), by_kernel(table)
    if kept["compiler"] != compiler():
        return ""
    return ", ".join(name for name in {**kept["kernels"], **found} if kept["kernels"].get(name) != found.get(name))


def compiler():
    """Return nvcc's version."""
    said = subprocess.run([compilers.nvcc(), "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    return re.search(r"V[\d.]+", said)[0]


def sources():
    """Return {file: a mark of its code}, without comments and spaces."""
    return {path.name: hashlib.sha256("".join(re.sub(r"//.*", "", path.read_text()).split()).encode()).hexdigest()[:16]
            for path in sorted(CUDA.glob("*.cu"))}


def prototype(path, architecture):
    """Compile an earlier source as it stands."""
    return compilers.taken(compilers.nvcc_log(path, architecture), "float")


def taken_by(compiled, sources):
    """Compile by nvcc; return {kernel: {"registers": {architecture: n}, "shared": bytes}}."""
    table = {("nvcc", architecture): {name: taken for source in sources
                                      for name, taken in compiled(source, architecture).items()}
             for architecture in compilers.ARCHITECTURES}
    return by_kernel(table)


def by_kernel(table):
    """Turn nvcc's part of {(compiler, architecture): {kernel: (registers, shared)}} round."""
    found = {}
    for (how, architecture), kernels in table.items():
        for name, (registers, shared) in kernels.items() if how == "nvcc" else ():
            kernel = found.setdefault(name, {"registers": {}, "shared": shared})
            kernel["registers"][str(architecture)] = registers
    return {name: found[name] for name in sorted(found)}


def scan():
    """Return what tiles meet on the benchmarks' scan: pairs an output, and the share of a tile's rows in use."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import workloads

    import spconv_cy as sp

    grid = sp.Grid.from_sites(workloads.indoor_scan())
    rulebook, pool = grid.rules(sp.sites.Window(3, 3, kind="submanifold"))[1], grid.rules(sp.sites.Window(3, 2, 2))
    table = np.zeros((rulebook.n_out, rulebook.n_offsets), bool)
    table[rulebook.out_rows, np.repeat(np.arange(rulebook.n_offsets), np.diff(rulebook.offset_ptr))] = True
    table = table[np.lexsort(table.T)]                                   # as PlacedRulebook sorts: by the mask
    use = {}
    for rows in (64, 128):
        whole = np.concatenate([table, np.zeros((-len(table) % rows, table.shape[1]), bool)])
        steps = whole.reshape(-1, rows, table.shape[1]).any(1).sum()
        use[str(rows)] = round(float(rulebook.n_pairs / (steps * rows)), 3)
    return {"pairs_an_output": round(rulebook.n_pairs / rulebook.n_out, 2), "rows_in_use": use,
            "pooled_pairs_an_output": round(pool[1].n_pairs / pool[1].n_out, 2)}


if __name__ == "__main__":
    main()
