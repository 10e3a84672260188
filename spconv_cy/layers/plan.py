"""The plan of a network: which steps compute it, found from its layers and its mode before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
        norm: a batch normalisation that is computed with the layer, or None.
        adds: whether the result of the other branch of a Residual is added in the same pass.
        activation: a leaky ReLU that is computed in the same pass, after all else, or None.
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
    norm: Planned | None = None
    adds: bool = False
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        plain = self.action == "call" and self.dropout is None and not self.selected and not self.restore
        object.__setattr__(self, "plain", plain)

    def blamed(self, error: Exception, layers: Sequence[Planned]) -> tuple[str, Planned]:
        """Return the name and the layer, of those of the step, that an error is about."""
        if self.norm is not None and str(error).startswith(one_line(self.norm)):
            return next((f"layers[{i}]", layer) for i, layer in enumerate(layers) if layer is self.norm)
        return self.name, self.layer

    def __str__(self) -> str:
        parts = [one_line(layer) for layer in (self.layer, self.norm) if layer is not None]
        parts += ["the other branch"] if self.adds else []
        said = [" + ".join(parts + ([] if self.activation is None else [one_line(self.activation)]))]
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
                joined = "" if step.activation is None else f" + {one_line(step.activation)}"
                lines.append(f"{step.name}: {type(step.layer).__name__}{joined}\n    {below}".rstrip())
        return "\n".join([*lines, self.join] if self.join else lines)


def steps(layers: Sequence[Planned], training: bool | None = None, fuse: bool = True) -> tuple[Step, ...]:
    """Return the steps that compute layers one after the other. Nothing is run and nothing is changed.

    A leaky ReLU is computed together with the layer before it, and so is batch normalisation with the convolution
    before it. In training a leaky ReLU between a convolution and a max-pooling is computed with the pooling, on fewer
    rows. A dropout of whole channels between two layers with weights uses sub-matrices. The layer before computes only
    the kept columns, so the channels are drawn there. Layers between that treat each channel separately run on the kept
    channels. The layer after uses only the kept rows of its weight.

    Args:
        layers: Layers.
        training: True if dropouts are active, False if not; None: the mode of each dropout decides.
        fuse: whether normalisations and activations join the layers before them.
    """
    found: list[Step] = []
    drops = [Role.DROPS in layer.role and (layer.training if training is None else training) for layer in layers]
    drawn, selected, i = set[int](), False, 0
    while i < len(layers):
        layer, name, dropout = layers[i], f"layers[{i}]", None
        norm, activation, taken = _joined(layers, i, training) if fuse else (None, None, 1)
        if i in drawn:
            found.append(Step(name, layer, "scale"))
        elif drops[i] and _weight_follows(layers, i):
            found.append(Step(name, layer, "select", restore=selected))
            selected = True
        elif Role.MIXES in layer.role and any(drops):
            dropout = _drawn_ahead(layers, drops, i)
            drawn |= {dropout} if dropout is not None else set()
            found.append(Step(name, layer, activation=activation, selected=selected, norm=norm,
                              dropout=None if dropout is None else layers[dropout]))
            selected = dropout is not None
        else:
            restore = selected and Role.CHANNELWISE not in layer.role
            found.append(Step(name, layer, activation=activation, restore=restore, norm=norm))
            selected = selected and not restore
        i += taken
    return tuple(found)


def with_sum(planned: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return steps of which the last one also adds the other branch of a Residual, if it can."""
    last = planned[-1] if planned else None
    if last is None or not last.plain or not last.layer.fuses or last.activation or Role.PICKS in last.layer.role:
        return planned
    slopes = [getattr(layer, "slope", None) for layer in (last.layer, last.norm)]
    return planned if slopes != [None, None] else (*planned[:-1], replace(last, adds=True))


def _joined(layers: Sequence[Planned], i: int, training: bool | None) -> tuple[Planned | None, Planned | None, int]:
    """Return the normalisation and the leaky ReLU that are computed with layer i, and how many layers it makes."""
    layer, norm = layers[i], _norm_of(layers, i)
    end = i + 1 if norm is None else i + 2
    if _picks(layer) and _waits(layers, i - 1, training):
        return None, layers[i - 1], 1
    if norm is None and _waits(layers, end, training):
        return None, None, 2
    leaky = end < len(layers) and Role.ACTIVATES in layer.role and Role.LEAKY in layers[end].role
    return norm, layers[end] if leaky else None, end - i + leaky


def _norm_of(layers: Sequence[Planned], i: int) -> Any:
    """Return the batch normalisation after layer i if the layer computes it with its own result, else None."""
    layer, follows = layers[i], layers[i + 1] if i + 1 < len(layers) else None
    joins = follows is not None and _weighs(layer) and Role.NORMALIZES in follows.role and follows.fuses
    return follows if joins and getattr(layer, "channels_out", 0) == getattr(follows, "channels", None) else None


def _waits(layers: Sequence[Planned], i: int, training: bool | None) -> bool:
    """Return True if layer i is a leaky ReLU between a layer with weights and a maximum, and waits for that."""
    if not 0 < i < len(layers) - 1 or Role.LEAKY not in layers[i].role or not _picks(layers[i + 1]):
        return False
    return _weighs(layers[i - 1]) and (layers[i].training if training is None else training)


def _weighs(layer: Planned) -> bool:
    return layer.fuses and not layer.role & (Role.NORMALIZES | Role.PICKS)


def _picks(layer: Planned) -> bool:
    return layer.fuses and Role.PICKS in layer.role


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
