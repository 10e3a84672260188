"""The compiled modules. In a checkout that is not built, importing one says how to build them."""

from importlib.util import find_spec
from pathlib import Path

from spconv_cy.errors import expected

if find_spec(f"{__name__}.pairs") is None:
    _HERE = Path(__file__).resolve().parents[2]
    raise ImportError(expected(
        "spconv_cy", "compiled modules", f"none in {_HERE}", "build them there by `make .venv/built`, which makes "
        "the environment .venv, or by `pip install -e .`; if spconv_cy is installed, start Python in another folder"),
        name=__name__)
