"""`import spconv_cy` is cheap: it loads numpy, itself and the standard library, and nothing that only some will use."""

import ast
import json
import shutil
import subprocess
import sys
import threading
import zlib
from importlib import import_module, invalidate_caches
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path

import pytest

import spconv_cy as sp
from spconv_cy.compiled import checksum
from spconv_cy.lazy import public

PROGRAM = """
import json, sys
import numpy
before = set(sys.modules)
import spconv_cy
print(json.dumps(sorted(set(sys.modules) - before)))
"""
# scipy.linalg alone costs 0.2 s; importlib.metadata a third of what the import may cost.
HEAVY = {"scipy", "matplotlib", "tqdm", "safetensors", "cupy", "sklearn", "pandas", "torch", "numba", "IPython",
         "importlib.metadata", "argparse", "csv", "email", "zipfile", "multiprocessing", "asyncio", "http",
         "urllib.request", "ssl", "sqlite3", "unittest", "distutils", "setuptools", "pkg_resources", "Cython", "pytest",
         "numpy.f2py", "numpy.testing", "numpy.distutils"}


def loaded_by(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_import_loads_nothing_that_only_some_will_use():
    new = loaded_by(PROGRAM.replace("import spconv_cy\n", "from spconv_cy import *\n"))
    assert "spconv_cy.tensor" in new
    assert [name for name in new if name in HEAVY or name.partition(".")[0] in HEAVY] == []


def test_compiled_modules_that_share_a_file_are_loaded_in_the_place_of_those_that_ask(tmp_path, monkeypatch):
    package = tmp_path / "shared_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "checksum.py").write_text("from spconv_cy.lazy import load_shared\nload_shared(__name__, __file__)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"shared_package.checksum: expected a file modules.* beside .*, got none"):
        import_module("shared_package.checksum")
    shared = package / f"modules{EXTENSION_SUFFIXES[0]}"
    shutil.copy(checksum.__file__, shared)
    invalidate_caches()
    found = import_module("shared_package.checksum")
    assert found is sys.modules["shared_package.checksum"] is sys.modules["shared_package"].checksum
    assert type(found.__loader__) is ExtensionFileLoader and found.__file__ == str(shared)
    assert found.crc32(b"some bytes") == zlib.crc32(b"some bytes")


def test_threads_that_wait_for_a_module_of_a_shared_file_find_its_names(tmp_path, monkeypatch):
    package = tmp_path / "slow_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "checksum.py").write_text("import time\nfrom spconv_cy.lazy import load_shared\ntime.sleep(0.2)\n"
                                         "load_shared(__name__, __file__)\n")
    shutil.copy(checksum.__file__, package / f"modules{EXTENSION_SUFFIXES[0]}")
    monkeypatch.syspath_prepend(tmp_path)
    found = []

    def wants():
        from slow_package.checksum import crc32
        found.append(crc32(b"some bytes"))

    import_module("slow_package")
    threads = [threading.Thread(target=wants) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [zlib.crc32(b"some bytes")] * 6


def test_the_import_alone_loads_no_layer_and_no_compiled_module():
    assert [name for name in loaded_by(PROGRAM) if name.startswith("spconv_cy")] == ["spconv_cy", "spconv_cy.lazy"]


def test_the_import_prints_nothing_and_sets_no_variable():
    program = """
import json, os
before = dict(os.environ)
import spconv_cy
print(json.dumps([name for name in os.environ if os.environ[name] != before.get(name)]))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_training_step_needs_no_optional_package():
    steps = PROGRAM.replace("import spconv_cy\n", """
import spconv_cy as sp
x = sp.SparseTensor.from_sites([[0, 1, 2], [1, 0, 0]], [[1.0], [2.0]], size=(4, 4))
net = sp.Sequential(sp.Convolution(2, 1, 2, 3, rng=0), sp.BatchNormalization(2), sp.ReLU(), sp.MaxPooling(2, 2),
                    sp.GlobalPooling(), sp.NetworkInNetwork(2, 2, rng=0))
sp.softmax_cross_entropy(net(x), numpy.array([0, 1])).backward()
sp.Adam(net.parameters()).step()
""")
    assert [name for name in loaded_by(steps) if name.partition(".")[0] in HEAVY] == []


def test_a_pass_does_not_import_masked_arrays():
    new = loaded_by(PROGRAM.replace("import spconv_cy\n", """
import spconv_cy as sp
x = sp.SparseTensor.from_sites([[0, 1, 2]], numpy.ones((1, 3), numpy.float32), 8)
sp.Convolution(2, 3, 4, 3, rng=0)(x)
"""))
    assert "spconv_cy.layers.convolution" in new and "numpy.ma" not in new


def test_loading_and_converting_import_nothing_that_they_do_not_need():
    """numpy.random alone takes a twentieth of the time of the start."""
    names = "import spconv_cy as sp\nsp.io.convert, sp.load, sp.freeze\n"
    new = loaded_by(PROGRAM.replace("import spconv_cy\n", names))
    assert {"difflib", "pickle", "zipfile", "json", "numpy.random"}.intersection(new) == set()
    assert [name for name in new if name.startswith("spconv_cy.io.networks.")] == ["spconv_cy.io.networks.known"]
    assert sum(name.startswith("spconv_cy") for name in new) < 165


def test_loading_a_frozen_network_imports_no_module_that_only_others_use(tmp_path):
    """Each takes 0.1 to 1 ms of a start that lasts some 120 ms, numpy included. -S: nothing of site is there before."""
    sp.save(tmp_path / "net", sp.freeze(sp.SubmanifoldConvolution(3, 4, 2, rng=0)))
    program = f"import sys\nsys.path += {[path for path in sys.path if path]!r}\n" + PROGRAM.replace(
        "import spconv_cy\n", f"import spconv_cy as sp\nsp.load({str(tmp_path / 'net')!r})\n")
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    new = json.loads(done.stdout.splitlines()[-1])
    not_needed = {"pathlib", "urllib", "ipaddress", "tempfile", "random", "spconv_cy.layers.plan", "spconv_cy.writing",
                  "spconv_cy.layers.summary", "spconv_cy.layers.container", "spconv_cy.layers.convolution",
                  "spconv_cy.io.pth_zip", "spconv_cy.sites.partition", "spconv_cy.compiled.attention",
                  "spconv_cy.deploy.half", "spconv_cy.deploy.tracing", "spconv_cy.compiled.small", "numpy.random"}
    assert not_needed.intersection(new) == set() and "spconv_cy.deploy.frozen" in new
    assert sum(name.startswith("spconv_cy") for name in new) < 120


def test_a_conversion_imports_its_own_library_alone():
    new = loaded_by(PROGRAM.replace("import spconv_cy\n", """
import spconv_cy as sp
net = sp.SubmanifoldConvolution(3, 4, 2, bias=False, rng=0)
sp.io.convert({"conv.weight": numpy.ones((2, 3, 3, 3, 4), numpy.float32)}, net)
"""))
    peers = {name for name in new if name.startswith("spconv_cy.io.peers.")}
    assert peers == {f"spconv_cy.io.peers.{name}" for name in ("known", "layout", "spconv")}


def test_every_name_that_a_stub_imports_is_public():
    """The stubs are read line by line, since parsing them takes longer."""
    for path in Path(sp.__file__).parent.rglob("__init__.pyi"):
        parsed = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
        assert public("spconv_cy", str(path))[2] == sorted({alias.name for node in parsed for alias in node.names})
