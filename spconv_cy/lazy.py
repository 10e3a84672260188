"""Public names of a package, imported when they are first used; where compiled modules lie."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location

# A line of a stub; the names are equal.
IMPORT = re.compile(r"^from (\S+) import (\w+) as \2$", re.MULTILINE)
# Where mpiexec, srun and their like tell a process how many there are. With PMIx only srun's own variable does.
MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "PMIX_SIZE", "PALS_SIZE", "SLURM_STEP_NUM_TASKS")
# Holds the number of the process that mpiexec started and that imported this package.
RANK_PROCESS = "_SPCONV_CY_RANK_PROCESS"
# The file that compiled modules of a package share where they are not built in place: as setup.py has it.
TOGETHER = "modules"


def under_mpiexec() -> str:
    """Return "NAME=number", by which mpiexec, srun or their like tell that this process is one of several, or ""."""
    told = ((name, os.environ.get(name, "1")) for name in MPI_SIZES)
    return next((f"{name}={number}" for name, number in told if number not in ("", "1")), "")


def end_together() -> None:
    """Let an error that nothing catches end all processes of mpiexec, also before they have met.

    Processes that one of these starts inherit the variables of mpiexec. RANK_PROCESS tells them that they are others.
    """
    before, process = sys.excepthook, os.getpid()
    if under_mpiexec() and os.environ.setdefault(RANK_PROCESS, str(process)) == str(process):
        sys.excepthook = lambda *error: import_module("spconv_cy.distributed.failing").end_early(
            before, process, *error)


def load_shared(name: str, path: str) -> None:
    """Load a compiled module that shares a file, and put it in place of the module of Python code that asks for it.

    Args:
        name: of the module.
        path: of the file of that Python code; the shared one lies beside it.
    """
    shared = PathFinder.find_spec(TOGETHER, [os.path.dirname(path)])
    spec = shared and spec_from_file_location(name, shared.origin)
    if not spec or not spec.loader:
        raise ImportError(f"{name}: expected a file {TOGETHER}.* beside {path}, got none; install the package again",
                          name=name, path=path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # Other threads wait for the one that is replaced, and may then read names of it.
    vars(sys.modules[name]).update((key, value) for key, value in vars(module).items() if key != "__spec__")
    sys.modules[name] = module


def public(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose `__init__.pyi` imports its public names.

    The stub is the only list of them; type checkers and editors read it as it is.

    Args:
        package: `__name__` of the package.
        file: `__file__` of the package.
    """
    with open(f"{os.path.splitext(file)[0]}.pyi", encoding="utf-8") as stub:     # pathlib takes long to import
        text = stub.read()
    places = {name: module for module, name in IMPORT.findall(text)}

    def get(name: str) -> object:
        if name not in places:
            # `from package import module` comes here, and tools that ask every object for names such as __wrapped__.
            inner = name.startswith("_") or (name.isidentifier() and find_spec(f"{package}.{name}"))
            close = [] if inner else near(name, places)
            raise AttributeError(f"module {package!r} has no attribute {name!r}" +
                                 (f"; did you mean {close[0]!r}?" if close else ""), name=name)
        module = places[name]
        try:
            value = import_module(f"{package}.{name}") if module == package else getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if told := unbuilt():
                raise ImportError(told, name=error.name) from None
            raise
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(places), sorted(places)


def near(name: str, names: Iterable[str]) -> list[str]:
    """Return the name that a wrong one is most like, in a list; [] if there is none."""
    from difflib import get_close_matches  # it takes long, and only errors need it

    return get_close_matches(name, names, 1)


def unbuilt() -> str:
    """Return the error message of a checkout whose compiled modules are not built; "" if they are."""
    here = os.path.dirname(os.path.realpath(__file__))
    if not os.path.isfile(os.path.join(here, "_core.pyx")) or find_spec("spconv_cy.compiled.pairs"):
        return ""
    return (f"spconv_cy: expected compiled modules, got none in {os.path.dirname(here)}; build them there by "
            "`make .venv/built`, which makes the environment .venv, or by `pip install -e .`; if spconv_cy is "
            "installed, start Python in another folder")
