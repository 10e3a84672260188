"""The plan of a network: which steps compute it, found from its layers and its mode before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spconv_cy.layers.role import Planned, Role

SHOWN = 100


@dataclass(frozen=True)
class Step:
    """One step of a plan: a layer is called, alone or with what follows it.

    Attributes:
        name: where the layer is in its container, such as "layers[3]".
        layer: the layer.
        action: "call"; "select": a dropout picks the channels that it keeps out of the features; "scale": a dropout
            whose channels an earlier layer has picked multiplies by its factor.
        activation: a leaky ReLU that is computed in the same pass, or None.
        dropout: the dropout that draws which channels of the result are computed, or None for all.
        selected: True if the features hold only the kept channels, so that only these rows of the weight are used.
        restore: whether dropped channels are put back as zeros first.
        plain: whether the layer is called with all channels and computes all.
    """

    name: str
    layer: Planned
    action: str = "call"
    activation: Planned | None = None
    dropout: Planned | None = None
    selected: bool = False
    restore: bool = False
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        plain = self.action == "call" and self.dropout is None and not self.selected and not self.restore
        object.__setattr__(self, "plain", plain)

    def __str__(self) -> str:
        said = [" + ".join(one_line(layer) for layer in (self.layer, self.activation) if layer is not None)]
        if self.restore:
            said.append("after zeros for the dropped channels")
        if self.action != "call":
            said.append("pick the kept channels" if self.action == "select" else "scale the kept channels")
        if self.selected or self.dropout is not None:
            parts = [word for word, there in (("rows", self.selected), ("columns", self.dropout is not None)) if there]
            said.append(f"with the {' and '.join(parts)} of the kept channels")
        return ", ".join(said)


@dataclass(frozen=True)
class Plan:
    """The steps of a network, in the order in which they run; printed as a list.

    Attributes:
        steps: tuple of Step.
        join: what the container does with the results: "" (each step takes the result of the one before), "add" (the
            steps named "shortcut" take the input, and both results are added), "concatenate" (each step takes the
            input).

    Iteration and `len` are those of the steps.
    """

    steps: tuple[Step, ...]
    join: str = ""

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def walk(self) -> Iterator[Step]:
        """Yield the steps of this plan and of the plans inside it, containers left out."""
        for step in self.steps:
            inner: Any = step.layer.plan()
            yield from [step] if _is_leaf(inner, step.layer) else inner.walk()

    def __str__(self) -> str:
        lines = []
        for step in self.steps:
            inner: Any = step.layer.plan()
            if _is_leaf(inner, step.layer):
                lines.append(f"{step.name}: {step}")
            else:
                below = str(inner).replace("\n", "\n    ")
                lines.append(f"{step.name}: {type(step.layer).__name__}\n    {below}".rstrip())
        return "\n".join([*lines, self.join] if self.join else lines)


def steps(layers: Sequence[Planned], training: bool | None = None, fuse: bool = True) -> tuple[Step, ...]:
    """Return the steps that compute layers one after the other. Nothing is run and nothing is changed.

    A leaky ReLU is computed together with the layer before it. A dropout of whole channels between two layers with
    weights uses sub-matrices. The layer before computes only the kept columns, so the channels are drawn there. Layers
    between that treat each channel separately run on the kept channels. The layer after uses only the kept rows of its
    weight.

    Args:
        layers: Layers.
        training: True if dropouts are active, False if not; None: the mode of each dropout decides.
        fuse: whether activations join the layers before them.
    """
    found: list[Step] = []
    drops = [Role.DROPS in layer.role and (layer.training if training is None else training) for layer in layers]
    drawn, selected, i = set[int](), False, 0
    while i < len(layers):
        layer, name = layers[i], f"layers[{i}]"
        activation, dropout = _activation_of(layers, i) if fuse else None, None
        if i in drawn:
            found.append(Step(name, layer, "scale"))
        elif drops[i] and _weight_follows(layers, i):
            found.append(Step(name, layer, "select", restore=selected))
            selected = True
        elif Role.MIXES in layer.role and any(drops):
            dropout = _drawn_ahead(layers, drops, i)
            drawn |= {dropout} if dropout is not None else set()
            found.append(Step(name, layer, activation=activation, selected=selected,
                              dropout=None if dropout is None else layers[dropout]))
            selected = dropout is not None
        else:
            restore = selected and Role.CHANNELWISE not in layer.role
            found.append(Step(name, layer, activation=activation, restore=restore))
            selected = selected and not restore
        i += 1 if activation is None else 2
    return tuple(found)


def _activation_of(layers: Sequence[Planned], i: int) -> Planned | None:
    """Return the leaky ReLU after layer i where that can compute it in the same pass, else None."""
    follows = layers[i + 1] if i + 1 < len(layers) else None
    return follows if follows is not None and Role.ACTIVATES in layers[i].role and Role.LEAKY in follows.role else None


def _weight_follows(layers: Sequence[Planned], i: int) -> bool:
    """Return True if the channels that dropout i keeps reach a layer with a weight."""
    for layer in layers[i + 1:]:
        if Role.MIXES in layer.role or Role.CHANNELWISE not in layer.role:
            return Role.MIXES in layer.role
    return False


def _drawn_ahead(layers: Sequence[Planned], drops: Sequence[bool], i: int) -> int | None:
    """Return the number of the dropout that picks the columns of layer i, or None.

    A dropout that shares its generator with layer i or a layer in between must not draw before that layer.
    """
    before = [*layers[i].generators().values()]
    for j in range(i + 1, len(layers)):
        if drops[j] and not any(rng is layers[j].rng for rng in before):  # type: ignore[attr-defined]
            return j
        if Role.CHANNELWISE not in layers[j].role:
            return None
        before += layers[j].generators().values()
    return None


def _is_leaf(plan: Plan, layer: Planned) -> bool:
    return len(plan) == 1 and plan.steps[0].layer is layer


def one_line(layer: Planned) -> str:
    """Return a layer as text on one line, cut to 100 characters."""
    text = " ".join(repr(layer).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN - 4]} ..."
