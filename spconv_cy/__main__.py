"""Run `spconv-cy` as `python -m spconv_cy`."""

import sys
from importlib import import_module

from spconv_cy.lazy import unbuilt

sys.exit(unbuilt() or import_module("spconv_cy.cli").main())
