"""A report on the installation: show_config."""

from __future__ import annotations

import platform
import sys

from spconv_cy import config
from spconv_cy.backend.switch import BACKENDS, ops_named
from spconv_cy.errors import BackendError

PACKAGES = ("spconv_cy", "numpy", "scipy", "safetensors", "tqdm", "matplotlib", "cupy")


def installation() -> dict[str, object]:
    """Return versions, backends, instruction set and threads by name."""
    found: dict[str, object] = {"python": platform.python_version(), "system": f"{platform.system()} "
                                f"{platform.machine()}"}
    found |= {name: _version(name) for name in PACKAGES}
    found |= {"backends": {name: _state(name) for name in BACKENDS}, "new_arrays": config.backend_name(),
              "threads": config.threads(), "processors": config.processors(), "precision": config.precision_name()}
    return found | dict(line.split(maxsplit=1) for line in _compiled())


def show_config() -> str:
    """Return versions, backends, instruction sets and threads as text, for bug reports.

    >>> "threads" in show_config()
    True
    """
    lines = [f"python       {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines += [f"{name:<12} {_version(name)}" for name in PACKAGES]
    lines += [f"backend {name:<9} {_state(name)}" for name in BACKENDS]
    lines.append(f"new arrays   {config.backend_name()}")
    lines.append(f"threads      {config.threads()} of {config.processors()} processors")
    lines.append(f"convolutions {config.precision_name()}")
    lines += _compiled()
    return "\n".join(lines)


def _version(name: str) -> str:
    # Imported here: it takes a third of the time that the import of this library may take.
    from importlib.metadata import PackageNotFoundError, version

    running = getattr(sys.modules.get(name), "__version__", None)        # of a checkout that is not installed, too
    try:
        return running or version(name)
    except PackageNotFoundError:
        return "not installed"


def _state(name: str) -> str:
    try:
        ops_named(name)
    except BackendError as error:
        return f"no: {error}"
    return "yes"


def _compiled() -> list[str]:
    try:
        from spconv_cy._core import isa, isas
        from spconv_cy.compiled.openmp import openmp
    except ImportError:
        return ["compiled     no"]
    return [f"instructions {isa()}, of {', '.join(isas())}", f"OpenMP       {'yes' if openmp() else 'no, one thread'}"]
