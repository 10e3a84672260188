"""A new layer touches its own file, the public list of layers, and its test: nothing else has to know it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import spconv_cy as sp

LAYER = '''"""A layer that is new."""

from spconv_cy.layers.layer import Layer


class Doubling(Layer):
    """Multiplies features by a power of two."""

    def __init__(self, times=1):
        self.times = times

    def __call__(self, x):
        return x.with_features(x.features * 2.0**self.times, x.ground)
'''
PROGRAM = """
import spconv_cy as sp
x = sp.SparseTensor.from_sites([[0, 1, 2], [0, 2, 0]], [[1.0], [2.0]], size=(4, 4))
net = sp.Sequential(sp.layers.Doubling(3), sp.ReLU())
sp.save("net.safetensors", net)
again = sp.load("net.safetensors")
assert repr(again) == repr(net) == "Sequential(Doubling(3), ReLU())", repr(again)
print(again(x).features.data.ravel().tolist(), "Doubling" in dir(sp.layers), type(again[0]) is sp.layers.Doubling)
"""


def test_a_layer_in_its_file_and_in_the_public_list_can_be_used_saved_and_loaded(tmp_path):
    package = tmp_path / "spconv_cy"
    shutil.copytree(Path(sp.__file__).parent, package, copy_function=os.symlink,
                    ignore=shutil.ignore_patterns("__pycache__"))
    (package / "layers" / "doubling.py").write_text(LAYER)
    listed = package / "layers" / "__init__.pyi"
    text = listed.read_text()
    listed.unlink()                                                      # a link so far
    listed.write_text(text + "from spconv_cy.layers.doubling import Doubling as Doubling\n")
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.stdout, done.stderr) == ("[8.0, 16.0] True True\n", "")
