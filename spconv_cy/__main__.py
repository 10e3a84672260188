"""`python -m spconv_cy`, the same as `spconv-cy`."""

import sys

from spconv_cy.cli import main

sys.exit(main())
