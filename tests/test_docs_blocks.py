"""Every code block of README.md, CONTRIBUTING.md and docs/ runs, is a command that exists, or is listed."""

import re
import shlex
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import spconv_cy as sp
from spconv_cy.cli import main

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in
         (*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
          *sorted((ROOT / "docs").rglob("*.md")))}
FENCED = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.M | re.S)
# Python that is not run here: (page, a line of the block): why.
NOT_RUN = {
    ("docs/cuda.md", 'sp.use("cuda")'): "needs a GPU; tests/test_gpu.py trains in half precision",
    ("docs/scale.md", "backend = cupyx.distributed.init_process_group"):
        "needs NCCL; tests/cuda_on_host/test_cuda_ranks.py uses a stand-in",
    ("docs/scale.md", "from dask.distributed import Client, LocalCluster"):
        "needs Dask; tests/test_fleet.py runs it where Dask is installed",
}
# What is neither Python nor commands: (page, how a line of it begins): what it is.
SHOWN = {
    ("README.md", "The worst classes:"): "printed by make demo",
    ("docs/architecture.md", "numpy arrays"): "a diagram",
    ("docs/concepts.md", "coords (n, 1+d) int32"): "a diagram",
    ("docs/kernels.md", "rulebook, offset k"): "a diagram",
    ("docs/ground_state.md", "z(y) = b"): "a formula",
    ("docs/checkpoints.md", "net.pth: expected a pickle"): "an error message",
    ("docs/training.md", "KeyboardInterrupt: fit"): "an error message",
    ("docs/scale.md", "step = (compute"): "a formula",
    ("docs/scale.md", "#!/bin/bash"): "a job of Slurm; tests/test_fleet.py runs it",
}
COMMANDS = (".", "cd", "gdb", "git", "make", "mpiexec", "pip", "spconv-cy", "python3", "python", ".venv/bin/python",
            ".venv/bin/pip", ".venv/bin/spconv-cy")


def blocks(page):
    """Return (language, text) of the blocks of a page; those between markers are the output of benchmarks."""
    text = re.sub(r"^<!-- (?:benchmark|experiment|small|results) .*?^<!-- end -->", "", PAGES[page].read_text(),
                  flags=re.M | re.S)
    return [(found[2], found[3]) for found in FENCED.finditer(text)]


def listed(page, text, reasons):
    """Return the entries of a list that are about a block."""
    return [(name, line) for name, line in reasons
            if name == page and any(found.lstrip().startswith(line) for found in text.splitlines())]


def commands(text):
    """Return the commands of a block as lists of words, without settings of the environment before them."""
    lines = [part for line in text.replace("\\\n", " ").splitlines() for part in line.split("&&")]
    split = [shlex.split(line.replace("<this repository>", "URL"), comments=True) for line in lines]
    return [words[next((i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words)):]
            for words in split if words]


# What pages find when they begin


def converting(folder, names):
    """Write the checkpoints that the page names, and an ONNX file."""
    onnx = pytest.importorskip("test_onnx")
    save(folder, "second.pth", sp.io.to_peer(sp.models.voxel_backbone_8x(4, rng=0), "spconv2", names="second"))
    parts = {"encoder": sp.models.pcgc_encoder(rng=0), "decoder": sp.models.PCGCDecoder(rng=0)}
    save(folder, "r3_0.10bpp.pth", {f"{part}.{name}": array for part, net in parts.items()
                                    for name, array in sp.io.to_peer(net, "minkowski", names=f"pcgc_{part}").items()})
    (build,) = [text for _, text in blocks("docs/converting.md") if "names = {" in text]
    made = {"sp": sp}
    exec(build.partition("net, report = ")[0], made)
    save(folder, "mine.pth", sp.io.to_peer(made["net"], "spconv2", names=made["names"], one_by_one="linear"))
    graph, end, _ = onnx.nvidia()
    graph.save(folder, end).rename(folder / "lidar.backbone.xyz.onnx")
    graph.save(folder, end).rename(folder / "bevfusion.onnx")
    x = onnx.scene()
    names.update(sites=x.sites, features=x.features.numpy(), size=onnx.SIZE, x=hits(1, size=16))


def save(folder, name, state):
    """Write arrays into a file of any name."""
    np.savez(folder / "state.npz", **state)
    (folder / "state.npz").rename(folder / name)


def hits(channels, size=16, ground=None):
    """Return a SparseTensor of some sites."""
    sites = np.unique(np.random.default_rng(0).integers(0, size, (200, 3)), axis=0)
    return sp.SparseTensor.from_sites(sites, np.ones((len(sites), channels)), size, batch=0, ground=ground)


def deploying(folder, names):
    """Write a network; the page has sites for it."""
    net = sp.models.unet(2, 4, 1, 2, rng=0)
    sp.save(folder / "net.safetensors", net)
    x = hits(1)
    names.update(x=x, sites=x.sites, samples=[x])


def measured(folder, names):
    """Give the page on hits an HDF5 file, or a stand-in for the package that reads it."""
    rng = np.random.default_rng(0)
    arrays = {"xyz": rng.normal(size=(9, 3)), "event": np.zeros(9, int), "energy": rng.random(9),
              "label": np.zeros(9, int)}
    try:
        import h5py
    except ImportError:
        module = types.ModuleType("h5py")
        module.File = lambda path: __import__("contextlib").nullcontext(arrays)
        names["#modules"] = {"h5py": module}
        return
    with h5py.File(folder / "hits.h5", "w") as file:
        file.update(arrays)


def followed(folder, names):
    """Give the page on training stand-ins for TensorBoard and MLflow; tests/test_following.py looks what they get."""
    board, flow = types.ModuleType("tensorboardX"), types.ModuleType("mlflow")
    board.SummaryWriter = lambda folder: None
    names["#modules"] = {"tensorboardX": board, "mlflow": flow}


def many(folder, names):
    """Give the page on several processes one process, with a network and batches."""
    net = sp.Sequential(sp.SubmanifoldConvolution(3, 1, 3, 3, rng=0))
    pooled = sp.Sequential(net, sp.GlobalPooling())
    names.update(sp=sp, net=pooled, optimizer=sp.Adam(pooled.parameters(), 0.01), ranks=sp.distributed.world(),
                 my_batches_of=lambda rank, size: [(hits(1), [0])])


def scene(names):
    """Give the part about one scene a network of sites and labels for them."""
    x = hits(1)
    names.update(net=sp.Sequential(sp.SubmanifoldConvolution(3, 1, 3, 3, rng=0)), x=x, labels=np.zeros(x.grid.n, int))


PREPARED = {"docs/converting.md": converting, "docs/deploy.md": deploying, "docs/own_hits.md": measured,
            "docs/training.md": followed, "docs/scale.md": many,
            "docs/checkpoints.md": lambda folder, names:
                (folder / "model.pth").write_bytes((GOLDEN / "spunet.pth").read_bytes())}
BEFORE = {("docs/scale.md", "x, labels = sp.distributed.scatter"): scene}
WITH_PYTHON = [page for page in PAGES if any(language == "python" for language, _ in blocks(page))]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    PREPARED.get(page, lambda folder, names: None)(tmp_path, names)
    for name, module in names.pop("#modules", {}).items():
        monkeypatch.setitem(sys.modules, name, module)
    try:
        for language, text in blocks(page):
            if language == "python" and not listed(page, text, NOT_RUN):
                for entry in listed(page, text, BEFORE):
                    BEFORE[entry](names)
                exec(compile(text, page, "exec"), names)
    finally:
        sp.set_threads(None)


def test_every_block_runs_is_a_command_or_is_listed():
    unknown = []
    for page in PAGES:
        for language, text in blocks(page):
            if language == "python" or listed(page, text, SHOWN):
                continue
            if language not in ("", "console") or not all(words[0] in COMMANDS for words in commands(text)):
                unknown.append(f"{page}: {text.splitlines()[0]}")
    assert unknown == [], "label Python as ```python; commands stand in blocks without a label; list the rest in SHOWN"


def test_the_lists_of_exceptions_name_blocks_that_are_there():
    for reasons in (NOT_RUN, SHOWN):
        found = {entry for page in PAGES for _, text in blocks(page) for entry in listed(page, text, reasons)}
        assert found == set(reasons)


def test_no_page_has_code_that_is_only_indented():
    # A code host shows it as code, but no test would find it.
    for page, path in PAGES.items():
        text = FENCED.sub("", path.read_text())
        assert not re.search(r"^(?![-*\d ]).*\n\n {4}\S", text, re.M), page


def test_commands_of_the_pages_have_the_files_extras_and_options_that_they_name(capsys):
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text().partition("optional-dep")[2], re.M))
    for page in PAGES:
        for language, text in blocks(page):
            if language not in ("", "console") or listed(page, text, SHOWN):
                continue
            for words in commands(text):
                program, *rest = words
                for extra in re.findall(r"(?:spconv_cy|\.)\[([\w,]+)\]", " ".join(rest)):
                    assert set(extra.split(",")) <= extras, (page, words)
                if program.endswith("python") and rest[0].endswith(".py"):
                    assert (ROOT / rest[0]).is_file() or rest[0] == "train.py", (page, words)
                if program.endswith("spconv-cy"):
                    with pytest.raises(SystemExit):
                        main([rest[0], "--help"])
                    known = capsys.readouterr().out
                    assert [word for word in rest[1:] if word.startswith("--") and word not in known] == [], page
