"""What is built, with which flags, and what is shipped; the slow tests build and install for themselves."""

import ast
import importlib
import inspect
import os
import pickle
import re
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import spconv_cy
from spconv_cy import _core, lazy

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "spconv_cy" / "cpu" / "kernels"
COMPILER = shutil.which("c++")
FORBIDDEN = re.compile(r"-(march|mtune|mcpu)=(?!armv8)|-ffast-math|-Ofast|-funsafe-math|-fassociative-math|"
                       r"-ffinite-math")
WIDE = {"avx512f", "avx512bf16", "avx512vnni", "amx"}
REGISTERS = {"zmm": WIDE, "ymm": WIDE | {"avx2", "avxvnni"}}
FACADES = [f"spconv_cy.{path.stem}" for path in sorted((ROOT / "spconv_cy").glob("*.pyx"))]
# What a stranger does first: a network of each kind of layer, forward and backward, in a folder of his own.
FIRST_STEPS = """
import numpy as np, spconv_cy as sp
x = sp.SparseTensor.from_sites([[0, 3, 1], [1, 0, 2]], [[1.0], [2.0]], size=(8, 8))
net = sp.Sequential(sp.Convolution(2, 1, 8, 3, rng=0), sp.VeryLeakyReLU(), sp.MaxPooling(2, 2),
                    sp.GlobalPooling(), sp.NetworkInNetwork(8, 3, rng=0))
sp.softmax_cross_entropy(net(x), np.array([0, 2])).backward()
assert all(np.isfinite(p.grad).all() for p in net.parameters())
sp.save("net.safetensors", net)
assert np.array_equal(sp.load("net.safetensors").eval()(x).data, net.eval()(x).data)
from spconv_cy.data.pen_digits import digits
print(sp.__file__, sp.__version__, sp.available_backends())
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def of_setup(name):
    """Return a constant of setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py has no {name}")


def sets_of_setup():
    """Return the flags and the probing program of each instruction set, as setup.py lists them."""
    return of_setup("SETS")


def test_modules_that_share_a_file_are_sought_where_setup_puts_them():
    assert of_setup("TOGETHER") == lazy.TOGETHER
    for package in of_setup("PACKAGES"):                                        # the name is that of no module
        folder = Path(ROOT, *package.split("."))
        assert list(folder.glob("*.pyx")) and not list(folder.glob(f"{lazy.TOGETHER}.py*"))


def set_of(path):
    name = Path(path).stem.rpartition("_")[2]
    return name if name in sets_of_setup() else None


def test_setup_asks_for_no_flag_that_ties_to_this_machine_or_bends_arithmetic():
    texts = [node.value for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert "-ffp-contract=fast" in texts                                 # the words searched are those of the flags
    assert [text for text in texts if FORBIDDEN.search(text)] == []


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize("names", [{"portable"}, pytest.param({"avx2", "avx512f", "neon"}, marks=pytest.mark.slow)])
def test_micro_kernels_compile_without_a_warning(names):
    compiled = set()
    assert names <= sets_of_setup().keys()
    for name, (flags, program) in sets_of_setup().items():
        if name not in names:
            continue
        probe = [COMPILER, "-xc++", "-std=c++17", "-fsyntax-only", *flags]
        if subprocess.run([*probe, "-"], input=program, text=True, capture_output=True).returncode:
            continue
        defined = [f"-DSPCONV_CY_{each.upper()}" for each in sets_of_setup() if each != "neon"]
        for path in sorted(KERNELS.glob(f"*_{name}.cpp")) + ([KERNELS / "dispatch.cpp"] if name == "portable" else []):
            said = run(*probe, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror",
                       "-Wsign-conversion", "-Wno-error=sign-conversion", *defined, path)
            # GCC takes the length of an array of a template's int for a change of sign: of these alone it may speak.
            for file, line in re.findall(r"^(\S+?):(\d+):\d+: warning:", said, re.M):
                text = Path(file).read_text().splitlines()[int(line) - 1]
                arrays = r"\b(vec|float\*|uint32_t\*|__m512i|Sums|Words|Floats) (\w+|\(\*\w+\))(\[[A-Z]\])+[,;)]"
                assert re.search(arrays, text), f"{file}:{line}\n{said}"
            compiled.add(path.name)
    assert names != {"portable"} or {"dispatch.cpp", "igemm_portable.cpp", "rows_portable.cpp"} <= compiled


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_our_cython_converts_no_number_in_silence(tmp_path):
    # What Cython adds has noise of its own: #line directives say whose line it is, and only ours count.
    def compiled(path):
        place = path.relative_to(ROOT)
        cpp = tmp_path / f"{'_'.join(place.with_suffix('').parts)}.cpp"
        run(sys.executable, "-m", "cython", "-3", "--cplus", "--line-directives", place, "-o", cpp, cwd=ROOT)
        assert f'#line 1 "{place}"' in cpp.read_text()
        return run(COMPILER, "-std=c++17", "-fsyntax-only", "-Wconversion", "-Wsign-conversion",
                   f"-I{sysconfig.get_paths()['include']}", f"-I{KERNELS}", cpp, cwd=ROOT)

    sources = sorted((ROOT / "spconv_cy").rglob("*.pyx"))
    with ThreadPoolExecutor(2) as pool:
        lines = "".join(pool.map(compiled, sources)).splitlines()
    ours = re.compile(r"(spconv_cy/\S+\.(pyx|pxd)|\S*/kernels/\S+):\d+:\d+: warning:")
    assert [line for line in lines if ours.match(line)] == []


@pytest.mark.skipif(shutil.which("objdump") is None or sys.platform != "linux", reason="no objdump")
def test_wide_registers_stay_inside_the_namespace_of_their_set():
    # An inline function compiled under a set's flags and kept by the linker for all would stop an older processor.
    seen = set()
    names = (*FACADES, *(f"spconv_cy.cpu.{path.stem}" for path in sorted((ROOT / "spconv_cy/cpu").glob("*.pyx"))))
    for file in sorted({importlib.import_module(name).__file__ for name in names}):
        symbol = ""
        for line in run("objdump", "-d", "--no-show-raw-insn", file).splitlines():
            if line.endswith(">:"):
                symbol = line
            for register, sets in REGISTERS.items():
                if f"%{register}" in line:
                    assert any(f"spconv_cy{len(each)}{each}" in symbol for each in sets), f"{file}: {symbol} {line}"
                    seen.add(register)
    built = {"avx512f": {"zmm"}, "avx2": {"ymm"}}
    assert set().union(*(built.get(each, set()) for each in _core.isas())) <= seen


@pytest.mark.skipif(sys.platform != "linux", reason="no ELF files")
def test_no_extension_of_a_release_carries_debug_symbols():
    variant = ROOT / "build" / "variant.txt"
    if not variant.is_file() or "symbols=True" in variant.read_text():
        pytest.skip("not built here, or symbols were asked for")
    extensions = sorted(Path(spconv_cy.__file__).parent.rglob("*.so"))
    assert len(extensions) >= len(FACADES)
    for path in extensions:
        assert not [name for name in sections_of(path) if name.startswith((".debug", ".zdebug"))], path.name


def sections_of(path):
    """Return the names of the sections of a 64-bit ELF file of this machine's byte order."""
    data = path.read_bytes()
    assert data[:5] == b"\x7fELF\2"
    start, = struct.unpack_from("Q", data, 0x28)
    size, count, names = struct.unpack_from("3H", data, 0x3A)
    headers = [struct.unpack_from("2I4Q", data, start + i * size) for i in range(count)]  # name, kind, .., offset, size
    texts = headers[names][4]
    return [data[texts + name:data.index(0, texts + name)].decode() for name, *_ in headers]


@pytest.mark.parametrize("name", FACADES)
def test_the_types_of_a_facade_are_those_of_its_functions(name):
    module = importlib.import_module(name)
    stub = ast.parse(Path(ROOT, *name.split(".")).with_suffix(".pyi").read_text())
    # Of overloads, the first has every default.
    described = {node.name: node.args for node in stub.body[::-1] if isinstance(node, ast.FunctionDef)}
    functions = {key: value for key, value in vars(module).items()
                 if isinstance(value, types.BuiltinFunctionType) and not key.startswith("_")
                     and value.__module__ == module.__name__}
    assert set(described) == set(functions)
    for key, function in functions.items():
        parameters = inspect.signature(function).parameters.values()
        arguments = described[key]
        assert [p.name for p in parameters if p.kind != p.KEYWORD_ONLY] == [a.arg for a in arguments.args], key
        assert [p.name for p in parameters if p.kind == p.KEYWORD_ONLY] == [a.arg for a in arguments.kwonlyargs], key
        optional = sum(p.default is not p.empty for p in parameters)
        assert optional == len(arguments.defaults) + sum(d is not None for d in arguments.kw_defaults), key


@pytest.mark.parametrize("path", [path.relative_to(ROOT) for path in sorted(ROOT.glob("spconv_cy/**/*.pyx"))], ids=str)
def test_every_compiled_function_has_a_signature_and_is_pickled_by_name(path):
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    for key, value in vars(module).items():
        function = type(value).__name__ in ("builtin_function_or_method", "cython_function_or_method")
        if function and value.__module__ == module.__name__:
            # A default that is no literal is not in the text of a built-in function: such functions are Cython's.
            assert inspect.signature(value) and pickle.loads(pickle.dumps(value)) is value, key


def test_an_instruction_set_can_be_forced_and_an_unknown_one_is_refused():
    program = "import spconv_cy as sp; print(sp.show_config())"
    for name in _core.isas():
        text = run(sys.executable, "-c", program, env={**os.environ, "SPCONV_CY_ISA": name})
        assert f"instructions {name}, of {', '.join(_core.isas())}" in text
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "SPCONV_CY_ISA": "mmx"})
    assert done.returncode and done.stderr.splitlines()[-1] == (
        f"spconv_cy.errors.BackendError: SPCONV_CY_ISA: expected one of {', '.join(_core.isas())}, got 'mmx'; "
        "this build and processor have no other instruction sets")


# ---- slow: builds of their own ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Build the sdist in a copy of the tracked files; return the archive."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout: what is tracked is not known")
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    python = venv(tmp_path_factory.mktemp("build"))
    run(python, "-m", "pip", "install", "-q", "build")
    run(python, "-m", "build", "-q", "--sdist", "-o", out, copy)
    return next(out.glob("*.tar.gz"))


@pytest.fixture
def source(sdist, tmp_path):
    """Unpack the sdist; return its folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return next((tmp_path / "unpacked").iterdir())


def venv(folder):
    """Make an empty environment; return its python."""
    run(sys.executable, "-m", "venv", folder / "venv")
    return folder / "venv" / "bin" / "python"


def suite(python, source, *needs):
    """Run the fast tests of an unpacked sdist against what is installed in an environment, from a folder of its own."""
    run(python, "-m", "pip", "install", "-q", "pytest", "hypothesis", "scipy", "matplotlib", "scikit-learn", *needs)
    elsewhere = source.parent / "elsewhere"
    elsewhere.mkdir()
    # The script and not `python -m`, which would put this folder before the installed package.
    text = run(python.with_name("pytest"), "-q", "-x", "-p", "no:cacheprovider", f"--rootdir={source}", "-c",
               source / "pyproject.toml", "-m", "not slow and not gpu and not experiments", source / "tests",
               cwd=elsewhere)
    assert re.search(r"\d{3,} passed", text), text[-500:]
    return text


@pytest.mark.slow
def test_the_sdist_holds_all_that_is_tracked(sdist):
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in run("git", "ls-files", cwd=ROOT).splitlines()
               if not name.startswith(".") and (ROOT / name).is_file()}
    assert tracked - held == set()
    made = {name for name in held - tracked if "." in name and not name.startswith("spconv_cy.egg-info")}
    assert made <= {"PKG-INFO", "setup.cfg"}


def test_no_name_of_our_cython_is_a_word_of_cpp():
    """Old versions of Cython write the attributes of a class as they are."""
    words = {"new", "delete", "template", "this", "operator", "namespace", "typename", "union", "friend", "virtual",
             "explicit", "mutable", "export", "default", "switch", "case", "goto", "register", "auto", "using",
             "private"}
    for path in sorted((ROOT / "spconv_cy").rglob("*.p[yx][xd]")):
        for line in re.findall(r"^ +cdef ([^(=#\n]+)$", path.read_text(), re.MULTILINE):
            assert not words & set(re.findall(r"(\w+)\s*(?:,|$)", line)), f"{path.name}: {line}"


@pytest.mark.slow
def test_an_sdist_installs_into_an_empty_environment_and_works(sdist, tmp_path):
    python = venv(tmp_path)
    wheels = tmp_path / "wheels"
    log = run(python, "-m", "pip", "wheel", "-v", "--no-deps", "-w", wheels, sdist)
    commands = [shlex.split(line) for line in log.splitlines() if re.match(r"\s*\S*(g|c|clang)\+\+ ", line)]
    compiles = [words for words in commands if "-c" in words]
    assert {Path(words[words.index("-c") + 1]).name for words in compiles} >= {"dispatch.cpp", "_core.cpp"}
    for words in compiles:
        path = words[words.index("-c") + 1]
        assert not FORBIDDEN.search(" ".join(words))
        mine = sets_of_setup()[set_of(path)][0] if "kernels" in path and set_of(path) else []
        assert [word for word in words if re.match("-m(amx|avx|fma|pclmul|prefer)", word)] == mine, path

    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        metadata = wheel.read(next(name for name in names if name.endswith("METADATA"))).decode()
    kinds = {Path(name).suffix for name in names if name.startswith("spconv_cy/")}
    assert kinds <= {".py", ".pyi", ".so", ".npz", ".txt", ".typed", ".cu", ".html", ".js", ".css", ".safetensors"}
    assert {"spconv_cy/py.typed", "spconv_cy/_core.pyi", "spconv_cy/data/digits.npz",
            "spconv_cy/data/DIGITS_LICENCE.txt"} <= set(names)
    assert {name.partition("/")[0] for name in names} == {"spconv_cy", f"spconv_cy-{spconv_cy.__version__}.dist-info"}
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1
    assert "License-Expression: BSD-3-Clause AND CC-BY-4.0" in metadata and "Requires-Python: >=3.10" in metadata

    run(python, "-m", "pip", "install", "-q", next(wheels.glob("*.whl")))
    text = run(python, "-c", FIRST_STEPS, cwd=tmp_path)
    assert str(tmp_path / "venv") in text and spconv_cy.__version__ in text


@pytest.mark.slow
def test_without_openmp_one_thread_passes_the_suite(source, tmp_path):
    python = venv(tmp_path)
    run(python, "-m", "pip", "install", "-q", source, env={**os.environ, "SPCONV_CY_OPENMP": "0"})
    assert "OpenMP       no, one thread" in run(python, "-c", "import spconv_cy as sp; print(sp.show_config())",
                                                cwd=tmp_path)
    suite(python, source)


@pytest.mark.slow
def test_with_checks_in_the_compiled_parts_the_suite_passes(source, tmp_path):
    python = venv(tmp_path)
    run(python, "-m", "pip", "install", "-q", source, env={**os.environ, "SPCONV_CY_DEBUG": "1"})
    suite(python, source)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="no gcc, whose sanitizers these are")
def test_sanitizers_find_nothing_in_hostile_calls_and_in_the_verbs(source, tmp_path):
    libraries = [run("gcc", f"-print-file-name=lib{name}.so").strip() for name in ("asan", "ubsan")]
    if not all(Path(library).is_file() for library in libraries):
        pytest.skip("this gcc has no sanitizers")
    python = venv(tmp_path)
    run(python, "-m", "pip", "install", "-q", source, "pytest", "scipy",
        env={**os.environ, "SPCONV_CY_SANITIZE": "address,undefined", "SPCONV_CY_DEBUG": "1"})
    checked = {**os.environ, "LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": "detect_leaks=0",
               "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    assert "answered" in run(python, source / "tests/test_hostile.py", 20000, 3, cwd=tmp_path, env=checked)
    files = [source / "tests" / f"test_{name}.py" for name in ("ops", "rulebook", "sites", "odd_input", "strokes")]
    run(python.with_name("pytest"), "-q", "-x", "-p", "no:cacheprovider", f"--rootdir={source}", "-c",
        source / "pyproject.toml", *files, cwd=tmp_path, env=checked)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the lowest numpy has no wheel for this Python")
def test_the_lowest_versions_that_are_declared_pass_the_suite(source, tmp_path):
    text = (source / "pyproject.toml").read_text()
    declared = ast.literal_eval(re.search(r"^dependencies = (\[.*\])", text, re.MULTILINE)[1])
    lowest = [requirement.replace(">=", "==") for requirement in declared]
    tools = ast.literal_eval(re.search(r"^requires = (\[.*\])", text, re.MULTILINE)[1])
    lowest_tools = [requirement.replace(">=", "==") for requirement in tools]
    python = venv(tmp_path)
    run(python, "-m", "pip", "install", "-q", "--upgrade", *lowest_tools)
    run(python, "-m", "pip", "install", "-q", *lowest)
    run(python, "-m", "pip", "install", "-q", "--no-build-isolation", source)
    suite(python, source, *lowest)
    held = run(python, "-m", "pip", "freeze")
    assert set(lowest) <= set(held.splitlines())
