"""Writes the files of this folder by torch: python tests/golden/torch/make.py FOLDER, where torch is installed.

Made by torch 2.6.0 and numpy 2. `expected.npz` holds the arrays as torch has them, `sha256.txt` the checksums.
"""

import argparse
import collections
import hashlib
import pathlib
import sys

import numpy as np
import torch

FOLDER = pathlib.Path(sys.argv[1])
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32",
          "uint64", "bool", "complex64", "complex128")
EXPECTED = {}


class Block(torch.nn.Module):
    """A module of a class that readers do not have."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(2, 3, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_buffer("kept", torch.arange(3))
        self.register_parameter("none", None)
        self.act = torch.nn.functional.relu

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


def numbers(dtype):
    made = torch.arange(6).reshape(2, 3) - (0 if dtype.startswith("u") else 2)
    return made.to(getattr(torch, dtype)) if dtype != "bool" else made > 0


def views():
    base = torch.arange(24, dtype=torch.float32)
    half = torch.arange(24, dtype=torch.bfloat16)
    return {"base": base, "transposed": base.reshape(4, 6).t(), "step": base[3::4], "expanded": base[5:6].expand(3, 4),
            "inner": base.reshape(2, 3, 4)[1, 1:, ::2], "scalar": base[7], "empty": base[:0].reshape(0, 3),
            "half": half[2:].reshape(2, 11).t(), "half step": half[1::5]}


def save(name, value, state=None, **options):
    torch.save(value, FOLDER / name, **options)
    for key, tensor in (value if state is None else state).items():
        tensor = tensor.detach()
        EXPECTED[f"{name}|{key}"] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def lightning(net):
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(4, 2, 5)).sum().backward()
    adam.step()
    state = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    return {"epoch": 3, "global_step": 2**40, "state_dict": collections.OrderedDict(state),
            "optimizer_states": [adam.state_dict()],
            "hyper_parameters": argparse.Namespace(lr=1e-3, name="a text \u00e4\u4e2d", sizes=[1, 2], none=None),
            "several": [np.float32(0.5), np.arange(3), np.ones((2, 2), order="F"), np.arange(3, dtype=">i2"),
                        np.array(["a", "bc"]), collections.defaultdict(int, {"x": 1}), pathlib.PurePosixPath("a/b"),
                        {1, 2}, frozenset("a"), slice(1, None), 1j, torch.Size([2, 3]), torch.device("cuda", 1),
                        torch.float16, b"bytes", bytearray(b"more"), range(3), np.dtype("f4"), 2**70, -1, True,
                        (1, (2, (3,)))]}


def main():
    torch.manual_seed(0)
    # The old format holds the source of each class: a short text stands for it here.
    torch.serialization.get_source_lines_and_file = lambda *_: (["class Source: ...\n"], 1, "source.py")
    dtypes = {dtype: numbers(dtype) for dtype in DTYPES}
    save("dtypes.pth", dtypes)
    old = {dtype: tensor for dtype, tensor in dtypes.items() if dtype not in ("uint16", "uint32", "uint64")}
    save("dtypes_legacy.pth", old, _use_new_zipfile_serialization=False)
    save("views.pth", views())
    save("views_legacy.pt", views(), _use_new_zipfile_serialization=False)
    for protocol in (2, 3, 4, 5):
        small = {"w": torch.arange(4.0), "array": torch.nn.Parameter(torch.ones(2, 2))}
        save(f"protocol{protocol}.pth", small, pickle_protocol=protocol)
        save(f"protocol{protocol}_legacy.pth", small, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    net = torch.nn.Sequential(Block(), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    save("module.pt", net, net.state_dict())
    save("module_legacy.pt", net, net.state_dict(), _use_new_zipfile_serialization=False)
    state = torch.nn.DataParallel(net).state_dict()
    save("parallel.pth", {"model_state": state}, net.state_dict())
    for protocol in (2, 4):
        full = lightning(Block())
        save(f"lightning{protocol}.ckpt", full, full["state_dict"], pickle_protocol=protocol)
    torch.save({"w": torch.eye(3).to_sparse()}, FOLDER / "sparse.pth")
    torch.save({"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, FOLDER / "quantized.pth")
    torch.serialization.set_crc32_options(False)
    save("no_crc.pth", {"w": torch.arange(4.0)})
    np.savez_compressed(FOLDER / "expected.npz", **EXPECTED)
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in (".pth", ".pt", ".ckpt", ".npz"))
    (FOLDER / "sha256.txt").write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
                                               for path in files))


if __name__ == "__main__":
    main()
