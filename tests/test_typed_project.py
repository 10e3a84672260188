"""A typed program that uses the public API runs; mypy finds nothing in it, and no public name that may be anything."""

import pytest
from typed_project import check, program


def test_the_typed_program_runs():
    assert 0 <= program.main() <= 1


@pytest.mark.slow                                                        # make lint runs it
def test_mypy_finds_the_types_of_the_installed_package():
    assert check.main() == 0
