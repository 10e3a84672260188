"""Run `spconv-cy` as `python -m spconv_cy`."""

import sys

from spconv_cy.cli import main

sys.exit(main())
