"""What is public: the lists are short, complete and say where everything is; nothing shadows a name."""

import importlib
import pkgutil
import subprocess
import sys

import pytest
from in_turn import each
from public import GROUPS, NAMES

import spconv_cy as sp
from spconv_cy.io.file import library_layer


def test_the_top_holds_about_fifty_names():
    assert len(sp.__all__) <= 70 and sorted(sp.__all__) == dir(sp)


@each("group", GROUPS, ids=lambda group: group.__name__)
def test_completion_shows_the_public_names_and_no_others(group):
    names = dir(group)
    assert names == sorted(group.__all__) if hasattr(group, "__all__") else names
    for name in names:
        assert getattr(group, name) is getattr(group, name)


def packages():
    return [group for group in GROUPS if hasattr(group, "__path__")]


@each("group", packages(), ids=lambda group: group.__name__)
def test_no_module_has_the_name_of_what_it_holds(group):
    # importing the module would put it in the place of the function
    modules = {info.name for info in pkgutil.iter_modules(group.__path__)}
    shadowed = {name for name in group.__all__ if name in modules and not hasattr(getattr(group, name), "__file__")}
    assert not shadowed


def test_names_stay_what_they_are_once_every_module_was_imported():
    pytest.importorskip("waitress")                                      # of the page
    before = dict(NAMES)
    for info in pkgutil.walk_packages(sp.__path__, "spconv_cy."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    for group in GROUPS:
        for name in getattr(group, "__all__", ()):
            assert getattr(group, name) is before[name], name


def test_a_name_that_is_not_there_is_an_attribute_error_that_knows_the_nearest():
    with pytest.raises(AttributeError, match=r"module 'spconv_cy' has no attribute 'Convolutoin'; did you mean "
                                             r"'Convolution'\?"):
        _ = sp.Convolutoin
    with pytest.raises(ImportError, match="nothing_like_it"):
        exec("from spconv_cy.models import nothing_like_it")
    assert not hasattr(sp, "__wrapped__")


def test_a_star_import_gives_what_is_listed():
    program = "from spconv_cy.models import *\nprint(sorted(name for name in dir() if name[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sp.models.__all__)


def test_every_layer_of_the_library_can_be_loaded_and_nothing_else():
    public = {value for value in NAMES.values() if isinstance(value, type) and issubclass(value, sp.Layer)}
    for layer in public - {sp.Layer}:
        assert library_layer(layer.__name__) is layer
    for name in ("Layer", "deepcnet", "interpolate", "activation", "public", "Grid", "__class__", "nothing"):
        assert library_layer(name) is None
