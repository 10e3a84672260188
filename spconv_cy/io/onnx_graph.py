"""Follows the features through an ONNX graph with sparse convolutions, and builds the network of our layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from spconv_cy.errors import FileError
from spconv_cy.io.onnx_dense import (
    DENSE,
    SCATTERS,
    Dense,
    dense_layers,
    keeps_rows,
    reshaped,
    scattered,
    transposed,
)
from spconv_cy.io.onnx_files import SAME, Model, listed, titled
from spconv_cy.io.onnx_nodes import (
    ACTIVATION_NODES,
    Geometry,
    activation,
    activation_of,
    convolution,
    in_place,
    normalization,
)
from spconv_cy.layers import Layer, Residual, Sequential

GRAPH = "graph"
STAGES = "rulebook_stages"                                               # Autoware's windows of pairs that are inputs
REMEDY = "give sparse_only=True for the sparse part alone"
MOST_STEPS = 5000
DEEPEST = 50


@dataclass(frozen=True)
class Step:
    """A sparse tensor of the graph.

    Attributes:
        node: that computes it; None: the input of the sparse part.
        inputs: names of one tensor, or of the two that are added; () for the input of the sparse part.
        before: name of the tensor before it; for a sum, the last one on which both of its inputs depend.
        depth: number of steps from the input.
        sites: name of its coordinates in an Autoware graph.
        layers: function that returns the layers from its input to it; for a sum it is not used.
        convolution: True if the last of these layers is a convolution without a bias.
    """

    node: Any
    inputs: tuple[str, ...] = ()
    before: str = ""
    depth: int = 0
    sites: str = ""
    layers: Callable[[str | None], list[Layer]] = lambda bias: []
    convolution: bool = False


@dataclass(frozen=True)
class Pairs:
    """What a GetIndicePairsImplicitGemm node computes: a window, and the names of its input and output coordinates.

    Its `outputs` are the names of the pairs, masks and order; of a GetIndicePairs node, of the pairs and their numbers.
    """

    outputs: tuple[str, ...]
    geometry: Geometry
    sites_in: str
    sites_out: str


class Walk:
    """The values of a graph that depend on the sparse tensors, in the order of the nodes.

    Args:
        model: of the file.
        one_by_one: reading of NVIDIA's weights of size 1, or None.
        sparse_only: leave out what is before and after the sparse part.

    Raises:
        FileError: a node does not fit.
    """

    def __init__(self, model: Model, one_by_one: str | None, sparse_only: bool) -> None:
        self.model, self.one_by_one, self.sparse_only = model, one_by_one, sparse_only
        self.steps: dict[str, Step] = {}
        self.dense: dict[str, Dense] = {}
        self.rows: dict[str, str] = {}                                   # {name after a Reshape: name before it}
        self.blocked: dict[str, Any] = {}                                # {name: first unknown node on the way}
        self.pairs: dict[str, Pairs] = {}
        self.partners: dict[str, Geometry] = {}
        self.sites: dict[str, str] = {}                                  # {name of coordinates: name of equal ones}
        self.same_sites: dict[tuple[str, Geometry], str] = {}
        self.folded: set[str] = set()                                    # tensors before a bias
        self.root, self.d, self.built = "", 0, 0
        self.stages = self._stages()
        visits = {"SparseConvolution": self._nvidia, "GetIndicePairsImplicitGemm": self._pairs,
                  "GetIndicePairs": self._pairs, "IndiceConv": self._autoware,
                  "ImplicitGemm": self._autoware, "ImplicitGemmInt8": self._autoware}
        for node in model.graph.node:
            if node.op_type not in SAME:
                visits.get(node.op_type, self._other)(node)

    def network(self) -> Sequential:
        """Return the network of the graph.

        Raises:
            FileError: the graph has no sparse convolution, or parts that our layers do not have.
        """
        if not self.root:
            operations = sorted({node.op_type for node in self.model.graph.node})
            raise self.model.wrong(GRAPH, "nodes SparseConvolution or ImplicitGemm", listed(operations))
        end = self._last_step() if self.sparse_only else self._output()
        if end in self.steps:
            return Sequential(*self._chain(self.root, end, 0))
        dense = self.dense[end]
        return Sequential(*self._chain(self.root, dense.source, 0), *dense_layers(self.model, dense))

    def _output(self) -> str:
        """Return the name of the graph's output, after checking that the graph begins and ends with what we have."""
        names = [self.model.name(output.name) for output in self.model.graph.output]
        if len(names) != 1:
            raise self.model.wrong(GRAPH, "one output", listed(names), REMEDY)
        if names[0] in self.blocked:
            raise self._refused(self.blocked[names[0]])
        if names[0] not in self.steps and names[0] not in self.dense:
            raise self.model.wrong(GRAPH, "an output that the sparse convolutions compute", repr(names[0]), REMEDY)
        if self.root not in [value.name for value in self.model.graph.input]:
            makers = [node for node in self.model.graph.node if self.root in node.output]
            if makers:
                raise self._refused(makers[0])
            raise self.model.wrong(GRAPH, "an input that the first convolution takes", repr(self.root))
        return names[0]

    def _last_step(self) -> str:
        used = {name for step in self.steps.values() for name in step.inputs}
        ends = [name for name in self.steps if name not in used | self.folded]
        if len(ends) != 1:
            raise self.model.wrong(GRAPH, "one sparse tensor at the end", listed(ends))
        return ends[0]

    def _refused(self, node: Any) -> FileError:
        return self.model.wrong(titled(node), "an operation of a sparse network", node.op_type, REMEDY)

    # Nodes

    def _nvidia(self, node: Any) -> None:
        given = self.model.attributes(node)
        geometry = Geometry.of(self.model, node, given, "kernel_size", "output_padding")
        key = str(given.get("rulebook", ""))
        if given.get("groups", 1) != 1:
            raise self.model.wrong(titled(node), "one group", given["groups"])
        if geometry.kind == "inverse":
            if key not in self.partners or self.partners[key].size != geometry.size:
                raise self.model.wrong(titled(node), "an earlier convolution of its size and rulebook", repr(key))
            geometry = replace(self.partners[key], kind="inverse")
        elif geometry.kind == "convolution":
            self.partners[key] = geometry
        geometry = in_place(self.model, node, given, geometry)
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        self._convolution(node, geometry, bias, given.get("activation", "None"), "", self.one_by_one)

    def _pairs(self, node: Any) -> None:
        given = self.model.attributes(node)
        geometry = Geometry.of(self.model, node, given, "ksize", "out_padding")
        if not node.input or len(node.output) < 4:
            raise self.model.wrong(titled(node), "one input, and four outputs or more",
                                   f"{len(node.input)} and {len(node.output)}")
        start = self.model.name(node.input[0])
        start = self.sites.get(start, start)
        end = start if geometry.kind == "submanifold" else node.output[0]
        end = self.same_sites.setdefault((start, geometry), end)
        self.sites[node.output[0]] = end
        self.pairs[node.output[1]] = Pairs(tuple(node.output[1:4]), geometry, start, end)

    def _stages(self) -> dict[str, dict[str, Any]]:
        """Return {name before "/pair_fwd": window} of pairs that are inputs of the graph, from the metadata."""
        try:
            stages = json.loads(self.model.metadata.get(STAGES, "[]"))
            return {str(stage["onnx_base"]): stage for stage in stages}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self.model.wrong(STAGES, "a list of windows in JSON", "another text") from None

    def _stage(self, node: Any, pairs: str, sites: str) -> Pairs | None:
        """Return the Pairs that are an input `.../pair_fwd` of the graph, or None."""
        base = pairs.removesuffix("/pair_fwd")
        if base == pairs or base not in self.stages:
            return None
        geometry = Geometry.of(self.model, node, self.stages[base], "ksize", "out_padding")
        return Pairs((pairs, f"{base}/pair_mask", f"{base}/mask_argsort"), geometry, sites, f"{base}/out_indices")

    def _autoware(self, node: Any) -> None:
        given = self.model.attributes(node)
        if len(node.input) not in (5, 6) or given.get("precision"):
            raise self.model.wrong(titled(node), "features, weight, pairs, masks, order and perhaps a bias",
                                   f"{len(node.input)} inputs" + (" for INT8" if given.get("precision") else ""),
                                   "export the network in float16 or float32")
        names = tuple(self.model.name(name) for name in node.input[2:5])
        before = self.steps.get(self.model.name(node.input[0]))
        found = self.pairs.get(names[0]) or self._stage(node, names[0], before.sites if before else "")
        if found is None or found.outputs != names:
            raise self.model.wrong(titled(node), "pairs of one node, or of one window of rulebook_stages",
                                   listed(names),
                                   "export the network with the nodes that find them, or with these metadata")
        if bool(given.get("is_subm")) != (found.geometry.kind == "submanifold"):
            raise self.model.wrong(titled(node), "is_subm as subm of its pairs", given.get("is_subm"))
        if given.get("output_scale", 1.0) != 1.0:
            raise self.model.wrong(titled(node), "output_scale 1", given["output_scale"])
        bias = node.input[5] if len(node.input) > 5 and node.input[5] else None
        if before is not None and before.sites != found.sites_in:
            raise self.model.wrong(titled(node), f"pairs from the sites {before.sites!r} of its features",
                                   f"those from {found.sites_in!r}")
        self._convolution(node, found.geometry, bias, given.get("act_type", 0), found.sites_in, "krsc",
                          found.sites_out)

    def _convolution(self, node: Any, geometry: Geometry, bias: str | None, word: object, sites: str,
                     one_by_one: str | None, sites_out: str = "") -> None:
        if not node.input or not node.output:
            raise self.model.wrong(titled(node), "inputs and outputs", "none")
        before = self.model.name(node.input[0])
        if not self.root:
            self.root, self.d = before, len(geometry.size)
            self.steps[before] = Step(None, sites=sites)
        if before in self.blocked or before in self.dense:
            raise self._refused(self.blocked.get(before, node))
        if before not in self.steps:
            raise self.model.wrong(titled(node), f"features that depend on {self.root!r}", repr(before),
                                   "split the graph into parts with one sparse input")
        if len(geometry.size) != self.d:
            raise self.model.wrong(titled(node), f"{self.d} axes", len(geometry.size))
        then = activation_of(self.model, node, word)

        def layers(later: str | None) -> list[Layer]:
            return [convolution(self.model, node, geometry, later or bias, one_by_one), *([then] if then else [])]

        self._add(node, Step(node, (before,), before, self.steps[before].depth + 1, sites_out, layers,
                             bias is None and then is None))

    def _other(self, node: Any) -> None:
        """Visit a node that is no convolution."""
        names = [self.model.name(name) for name in node.input]
        following = self.steps, self.dense, self.blocked, self.rows
        if node.op_type == "Shape" or not any(name in known for name in names for known in following):
            return
        first = names[0]
        if first in self.steps and node.op_type in (*ACTIVATION_NODES, "BatchNormalization"):
            make = normalization if node.op_type == "BatchNormalization" else activation
            step = self.steps[first]
            self._add(node, Step(node, (first,), first, step.depth + 1, step.sites,
                                 lambda bias: [make(self.model, node)]))
        elif node.op_type == "Add" and self._sum(node, names):
            pass
        elif node.op_type in DENSE and not any(name in self.blocked for name in names):
            self._dense(node, names)
        else:
            self._block(node, names)

    def _block(self, node: Any, names: list[str]) -> None:
        cause = next((self.blocked[name] for name in names if name in self.blocked), node)
        for name in node.output:
            self.blocked.setdefault(name, cause)

    def _sum(self, node: Any, names: list[str]) -> bool:
        """Add the step of an Add node: a sum of two tensors, or a bias; return False if it is neither."""
        if len(names) != 2 or not node.output:
            return False
        known = [name for name in names if name in self.steps]
        if len(known) == 2:
            fork = self._fork(*known)
            step = self.steps[known[0]]
            self._add(node, Step(node, (known[0], known[1]), fork, self.steps[fork].depth + 1, step.sites))
            return True
        other = next((name for name in names if name not in self.steps), "")
        if not known or not self.model.is_constant(other):
            return False
        step = self.steps[known[0]]
        if not step.convolution:
            raise self.model.wrong(titled(node), "a bias after a convolution without one",
                                   titled(step.node) if step.node else "the input")
        self.folded.add(known[0])
        self._add(node, replace(step, node=step.node, layers=lambda bias: step.layers(other), convolution=False))
        return True

    def _dense(self, node: Any, names: list[str]) -> None:
        source = names[2] if node.op_type in ("ScatterND", "ScatterElements") and len(names) > 2 else names[0]
        source = self.rows.get(source, source)
        if node.op_type == "Reshape" and source in self.steps and keeps_rows(self.model, node):
            self._check_new(node)
            self.rows[node.output[0]] = source                           # (n, c) again if a node can scatter it
            return
        found: Dense | None = None
        if node.op_type in SCATTERS and source in self.steps:
            found = scattered(self.model, node, source, self.d + 2)
        elif source in self.dense:
            change = transposed if node.op_type == "Transpose" else reshaped
            found = change(self.model, node, self.dense[source])
        if found is None:
            self._block(node, names)
        else:
            self._check_new(node)
            self.dense[node.output[0]] = found

    def _add(self, node: Any, step: Step) -> None:
        self._check_new(node)
        if len(self.steps) >= MOST_STEPS:
            raise self.model.wrong(GRAPH, f"at most {MOST_STEPS} sparse tensors", "more")
        self.steps[node.output[0]] = step

    def _check_new(self, node: Any) -> None:
        # A name that two nodes compute could make a circle.
        name = node.output[0] if node.output else ""
        if not name or name in self.steps or name in self.dense or name in self.blocked:
            raise self.model.wrong(titled(node), "an output of its own", repr(name))

    # Layers

    def _fork(self, a: str, b: str) -> str:
        """Return the last tensor on which both a and b depend by whole steps."""
        while a != b:
            if self.steps[a].depth < self.steps[b].depth:
                a, b = b, a
            a = self.steps[a].before
        return a

    def _chain(self, start: str, end: str, level: int) -> list[Layer]:
        """Return the layers from one tensor to another."""
        names = []
        while end != start:
            names.append(end)
            end = self.steps[end].before
        layers: list[Layer] = []
        for name in reversed(names):
            step = self.steps[name]
            self.built += 1
            if self.built > 2 * MOST_STEPS or level > DEEPEST:
                raise self.model.wrong(titled(step.node), "branches within branches that end where they are added",
                                       "a graph of another kind")
            layers += [self._residual(step, level)] if len(step.inputs) == 2 else step.layers(None)
        return layers

    def _residual(self, step: Step, level: int) -> Residual:
        body, short = (self._chain(step.before, name, level + 1) for name in step.inputs)
        if len(body) < len(short):
            body, short = short, body
        shortcut = None if not short else short[0] if len(short) == 1 else Sequential(*short)
        return Residual(*body, shortcut=shortcut)


