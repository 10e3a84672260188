"""Every case of the layers' contract, for backends that are tested beside the suite: cuda on the host, and a GPU."""

import layer_list
import numpy as np
from contract import check_layer, coarse, draws_of, parts, rewind, rows

import spconv_cy as sp

CASES = {f"{name}, {family}": (make, inputs[family])
         for cases in (layer_list.ON_SITES, layer_list.DRAWN) for name, (make, inputs) in cases.items()
         for family in inputs}
CASES |= {f"{name}, rows": (make, rows(4)) for name, make in layer_list.ON_ROWS.items()}
CASES |= {f"{name}, back": (make, coarse(layer_list.PLANE[None], sp.MaxPooling(2, 2)))
          for name, make in layer_list.GOING_BACK.items()}


def check_case(name, path, backend="cuda"):
    """Check a case of the contract on a backend, and that a file and a move bring the layer to the CPU and back."""
    make, inputs = CASES[name]
    check_layer(make, inputs, alike=not name.startswith(tuple(layer_list.DRAWN)), backends=[backend])
    for here, there in ((backend, "cpu"), ("cpu", backend)):
        with sp.use(here):
            layer = make().eval()
            kept = draws_of(layer)
            mine = parts(layer(inputs((5, 0, 4))))
            sp.save(path, layer)
        with sp.use(there):
            came = sp.load(path).eval()
            for one in (came, layer.to(there)):                          # by a file, and as it stands
                rewind(one, kept)
                for a, b in zip(mine, parts(one(inputs((5, 0, 4)))), strict=True):
                    assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)
