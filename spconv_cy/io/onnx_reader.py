"""Reads sparse networks from .onnx files that NVIDIA's and Autoware's exporters wrote. Needs the package onnx."""

from __future__ import annotations

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import checked_flags, checked_path, is_one_of
from spconv_cy.errors import ShapeError, expected
from spconv_cy.io.onnx_files import Model
from spconv_cy.io.onnx_graph import Walk
from spconv_cy.layers import Layer
from spconv_cy.types import PathLike


@known_arguments
def read_onnx(path: PathLike, *, one_by_one: str | None = None, sparse_only: bool = False) -> Layer:
    """Return the network of an .onnx file with sparse convolutions, built of our layers with the file's weights.

    Two kinds of graphs are read: those of NVIDIA's Lidar_AI_Solution, with SparseConvolution and ScatterDense nodes,
    and those for Autoware's plugins, with ImplicitGemm or IndiceConv nodes and those of their pairs. ReLU, ReLU6,
    leaky ReLU, sigmoid, tanh, batch normalisation, bias and residual sums are read, and at the end the dense array.
    Half floats become float32; scales for INT8 of NVIDIA's files are not used.

    Args:
        path: of the file. Weights in other files are read only from the folder of the model.
        one_by_one: how SparseConvolution weights of size 1 without a stride are read: "raw" for networks of spconv 2,
            whose own layers do not transpose them; "krsc" for those of spconv 1 and mmdet3d.
        sparse_only: True: return the part from the first sparse convolution to the last sparse tensor, and do not read
            the nodes before and after it. Otherwise the whole graph is read.

    Returns:
        Sequential in evaluation mode: SparseTensor with `ground=None` -> SparseTensor, or Tensor (b, c, *size) where
        the graph makes it dense. Axes of sites are in the file's order. An input needs the size that the file gives to
        the first convolution, `input_spatial_shape` or `spatial_shape`.

    Raises:
        ImportError: onnx is not installed.
        FileNotFoundError: there is no such file.
        FileError: the file is damaged, or has an operation that a sparse network of our layers does not have; the
            operation and the name of the node are given.

    >>> net = read_onnx("lidar.backbone.xyz.onnx")                       # doctest: +SKIP
    """
    path = checked_path("read_onnx", path)
    checked_flags("read_onnx", sparse_only=sparse_only)
    if not is_one_of(one_by_one, ("raw", "krsc", None)):
        raise ShapeError(expected("read_onnx", "one_by_one to be 'raw', 'krsc' or None", repr(one_by_one)))
    return Walk(Model(path), one_by_one, sparse_only).network().eval()
