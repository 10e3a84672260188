"""Networks from the notation of the papers, such as "32C3-MP2-64C2-MP2-96C2-output"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from spconv_cy.arguments import known_arguments
from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError, expected
from spconv_cy.layers import (
    AveragePooling,
    BatchNormalization,
    Convolution,
    Dropout,
    FractionalMaxPooling,
    GlobalPooling,
    Layer,
    LeakyReLU,
    MaxPooling,
    NetworkInNetwork,
    ReLU,
    Sequential,
    SubmanifoldConvolution,
    SumPooling,
    VeryLeakyReLU,
)
from spconv_cy.layers.fractional import LETTERS
from spconv_cy.types import Seed

if TYPE_CHECKING:
    from spconv_cy.sites.lattice import Lattice

TOKEN = re.compile(r"(?P<channels>\d*)(?P<word>SC|C|MP|AP|SP|([RP][DOS])?FMP|GP|BN|D|LReLU|VLReLU|ReLU|linear|output|"
                   r"softmax)"
                   r"(?P<number>\d+(\.\d*)?(e-?\d+)?)?(/(?P<stride>\d+))?")
FRACTIONAL = {letter: word for word, letter in LETTERS.items()}
CLOSES = ("VLReLU", "ReLU", "LReLU", "BN", "linear")


@known_arguments
def from_spec(text: str, channels_in: int = 1, d: int | Lattice = 2, *, classes: int | None = None,
              rng: Seed = None) -> Sequential:
    """Build a network from its notation; `net.spec()` returns the notation of a network.

    The notation is a list of words, joined by dashes:

    - 32C3, 32C3/2: convolution of 32 channels and size 3; with stride 2.
    - 32SC3: submanifold convolution. 32C1: network-in-network.
    - MP2, MP3/2, AP2, SP2: pooling by maximum, average, sum; the stride is the size unless it is given.
    - FMP1.5: fractional max-pooling by that ratio. Two letters in front choose its regions: R (random) or P
      (pseudorandom), then D (disjoint), O (overlapping, fixed) or S (shared boundary); FMP is POFMP.
    - GP: global average pooling. BN: batch normalisation. D0.5: dropout.
    - VLReLU, ReLU, LReLU0.01: activations. linear: no activation.
    - output or softmax, at the end: GP and a linear layer to `classes`.

    A convolution is followed by VLReLU unless an activation, `BN` or `linear` comes next.

    Args:
        text: the notation.
        channels_in: channels of the input.
        d: dimension, or a Lattice.
        classes: number of classes, for `output`.
        rng: seed or numpy Generator.

    Returns:
        Sequential: SparseTensor -> SparseTensor, or Tensor (b, classes) if it ends with a global pooling.

    Raises:
        ShapeError: an unknown word, which is named with its position, or a word that lacks a number.

    >>> net = from_spec("8C3-MP2-16C2-output", classes=10, rng=0)
    >>> net.spec()
    '8C3-MP2-16C2-GP-10C1-linear'
    """
    if not isinstance(text, str):
        raise ShapeError(expected("from_spec", "a text such as '32C3-MP2-64C2-output'", repr(text)))
    random, channels = generator("from_spec", rng), channels_in
    layers: list[Layer] = []
    matches = _matches(text)
    for match, follows in zip(matches, [*matches[1:], None], strict=True):
        made, channels = _layers(match, channels, d, classes, random)
        layers += made
        if match["word"] in ("C", "SC") and (follows is None or follows["word"] not in CLOSES):
            layers.append(VeryLeakyReLU())
    return Sequential(*layers)


def _matches(text: str) -> list[re.Match[str]]:
    """Return the matches of TOKEN for each word."""
    words = [word.strip() for word in re.sub(r"[\u2013\u2014]", "-", text).split("-") if word.strip()]
    words = re.sub(r"(\de)-(\d)", r"\1~\2", "-".join(words)).split("-")      # the dash of 1e-5 joins no words
    matches = []
    for place, word in enumerate(words):
        match = TOKEN.fullmatch(word.replace("~", "-"))
        if match is None:
            raise ShapeError(expected(
                "from_spec", "words such as 32C3, 32C3/2, 32SC3, 32C1, MP2, AP2, FMP1.5, GP, BN, D0.5, VLReLU, ReLU, "
                "LReLU0.01, linear, output", f"word {place + 1} of {text!r}, {word!r}"))
        matches.append(match)
    return matches


def _layers(match: re.Match[str], channels: int, d: int | Lattice, classes: int | None,
            rng: np.random.Generator) -> tuple[list[Layer], int]:
    """Return the layers of a word, and the channels after them."""
    word, kind, number = match[0], match["word"], match["number"]
    if kind in ("C", "SC"):
        return _convolution(match, channels, d, rng)
    if kind in ("MP", "AP", "SP"):
        pooling = {"MP": MaxPooling, "AP": AveragePooling, "SP": SumPooling}[kind]
        return [pooling(d, _whole(number, word), *_stride(match))], channels
    if kind.endswith("FMP"):
        sequence, overlap = (FRACTIONAL[letter] for letter in kind[:-3] or "PO")
        if number is None:
            raise ShapeError(expected("from_spec", f"a ratio, such as {word}1.5", repr(word)))
        return [FractionalMaxPooling(d, float(number), sequence=sequence, overlap=overlap,
                                     rng=rng.integers(2**63))], channels
    if kind in ("output", "softmax"):
        if classes is None:
            raise ShapeError(expected("from_spec", f"a number of classes for {word!r}", None, "give classes="))
        return [GlobalPooling(), NetworkInNetwork(channels, classes, rng=rng)], classes
    if kind == "linear":
        return [], channels
    made: dict[str, Callable[[], Layer]] = {
        "GP": GlobalPooling, "ReLU": ReLU, "VLReLU": VeryLeakyReLU, "BN": lambda: BatchNormalization(channels),
        "LReLU": lambda: LeakyReLU(float(number or 0.01)), "D": lambda: Dropout(float(number or 0.5), rng=rng)}
    return [made[kind]()], channels


def _convolution(match: re.Match[str], channels: int, d: int | Lattice,
                 rng: np.random.Generator) -> tuple[list[Layer], int]:
    wanted, size, stride = int(match["channels"] or 0), _whole(match["number"], match[0]), _stride(match)
    if not wanted:
        raise ShapeError(expected("from_spec", f"a number of channels, such as 32{match[0]}", repr(match[0])))
    if match["word"] == "SC":
        return [SubmanifoldConvolution(d, channels, wanted, size, rng=rng)], wanted
    if size == 1 and not stride:
        return [NetworkInNetwork(channels, wanted, rng=rng)], wanted
    return [Convolution(d, channels, wanted, size, *stride, rng=rng)], wanted


def _stride(match: re.Match[str]) -> list[int]:
    return [int(match["stride"])] if match["stride"] else []


def _whole(number: str | None, word: str) -> int:
    if number is None or not number.isdigit():
        raise ShapeError(expected("from_spec", "a whole number after the letters", repr(word)))
    return int(number)
