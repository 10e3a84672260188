"""A typed program that uses the public API runs; mypy finds nothing in it, and no public name that may be anything."""

import pytest
from in_turn import each
from typed_project import check, program


def test_the_typed_program_runs():
    assert 0 <= program.main() <= 1


@each("text, loose", [
    ("def (x: Any) -> int", True), ("def (x: int, *y: Any) -> int", True), ("def (x: int, y: Any =) -> int", True),
    ("def (x: int) -> Any", True), ("def (x: list[Any], y: def (int) -> Any) -> dict[str, Any]", False),
    ("def (net: (def (*Any, **Any) -> Any) | None =) -> int", False), ("def () -> X", False),
    ("def (x: int) -> tuple[int, Any, str]", False)])
def test_types_that_may_be_anything_are_seen(text, loose):
    assert check.is_loose(f'note: Revealed type is "{text}"') == loose


@pytest.mark.slow                                                        # make lint runs it
def test_mypy_finds_the_types_of_the_installed_package():
    assert check.main() == 0
