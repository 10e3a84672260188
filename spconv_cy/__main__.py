"""Run `spconv-cy` as `python -m spconv_cy`."""

import sys

try:
    from spconv_cy.cli import main
except ImportError as error:
    if error.name != "spconv_cy.compiled":
        raise
    sys.exit(str(error))

sys.exit(main())
