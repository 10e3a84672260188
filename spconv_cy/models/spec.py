"""Networks in the notation of the papers, read: "32C3-MP2-64C2-MP2-96C2-output"."""

import re

from spconv_cy.checks import generator
from spconv_cy.errors import ShapeError
from spconv_cy.layers.activation import LeakyReLU, ReLU, VeryLeakyReLU
from spconv_cy.layers.container import Sequential
from spconv_cy.layers.convolution import Convolution, NetworkInNetwork, SubmanifoldConvolution
from spconv_cy.layers.dropout import Dropout
from spconv_cy.layers.fractional import LETTERS, FractionalMaxPooling
from spconv_cy.layers.normalization import BatchNormalization
from spconv_cy.layers.pooling import AveragePooling, GlobalPooling, MaxPooling, SumPooling

TOKEN = re.compile(r"(?P<channels>\d*)(?P<word>SC|C|MP|AP|SP|([RP][DOS])?FMP|GP|BN|D|LReLU|VLReLU|ReLU|linear|output|"
                   r"softmax)"
                   r"(?P<number>\d+(\.\d*)?(e-?\d+)?)?(/(?P<stride>\d+))?")
FRACTIONAL = {letter: word for word, letter in LETTERS.items()}
CLOSES = ("VLReLU", "ReLU", "LReLU", "BN", "linear")


def from_spec(text, channels_in=1, d=2, *, classes=None, rng=None):
    """Build a network from its notation; `net.spec()` writes it.

    Words, joined by dashes: `32C3` a convolution of 32 channels and size 3, `32C3/2` with stride 2, `32SC3`
    submanifold, `32C1` network-in-network; `MP2`, `MP3/2`, `AP2`, `SP2` pooling by maximum, average, sum (the stride
    is the size unless given); `FMP1.5` fractional max-pooling by that ratio, before it R (random) or P (pseudorandom)
    and D (disjoint), O (overlapping, fixed) or S (shared boundary), by default `POFMP`; `GP` global
    average; `BN`; `D0.5` dropout; `VLReLU`, `ReLU`, `LReLU0.01`; `output` (or `softmax`) at the end: GP and a linear
    layer to `classes`. A convolution is followed by VLReLU unless an activation, `BN` or `linear` (none) comes next.

    Args:
        text: the notation.
        channels_in: of the input.
        d: dimension, or a Lattice.
        classes: for `output`.
        rng: seed or numpy Generator.

    Raises:
        ShapeError: a word that is not known; it is named with its place.

    >>> net = from_spec("8C3-MP2-16C2-output", classes=10, rng=0)
    >>> net.spec()
    '8C3-MP2-16C2-GP-10C1-linear'
    """
    if not isinstance(text, str):
        raise ShapeError(f"from_spec: {text!r} came; a text such as '32C3-MP2-64C2-output' fits")
    rng = generator("from_spec", rng)
    words = [word.strip() for word in re.sub(r"[\u2013\u2014]", "-", text).split("-") if word.strip()]
    words = re.sub(r"(\de)-(\d)", r"\1~\2", "-".join(words)).split("-")
    layers, channels = [], channels_in
    for place, word in enumerate(words):
        match = TOKEN.fullmatch(word.replace("~", "-"))
        if match is None:
            raise ShapeError(f"from_spec: word {place + 1} of {text!r}, {word!r}, is not known; such as 32C3, 32C3/2, "
                             "32SC3, 32C1, MP2, AP2, FMP1.5, GP, BN, D0.5, VLReLU, ReLU, LReLU0.01, linear, output fit")
        made, channels = _layers(match, word, channels, d, classes, rng)
        layers += made
        follows = TOKEN.fullmatch(words[place + 1].replace("~", "-")) if place + 1 < len(words) else None
        if match["word"] in ("C", "SC") and (follows is None or follows["word"] not in CLOSES):
            layers.append(VeryLeakyReLU())
    return Sequential(*layers)


def _layers(match, word, channels, d, classes, rng):
    kind, number = match["word"], match["number"]
    stride = [int(match["stride"])] if match["stride"] else []
    if kind in ("C", "SC"):
        wanted, size = int(match["channels"] or 0), int(_whole(number, word))
        if not wanted:
            raise ShapeError(f"from_spec: {word!r} names no channels; such as 32{word} fits")
        if kind == "SC":
            layer = SubmanifoldConvolution(d, channels, wanted, size, rng=rng)
        elif size == 1 and not stride:
            layer = NetworkInNetwork(channels, wanted, rng=rng)
        else:
            layer = Convolution(d, channels, wanted, size, *stride, rng=rng)
        return [layer], wanted
    if kind in ("MP", "AP", "SP"):
        pooling = {"MP": MaxPooling, "AP": AveragePooling, "SP": SumPooling}[kind]
        return [pooling(d, int(_whole(number, word)), *stride)], channels
    if kind.endswith("FMP"):
        sequence, overlap = (FRACTIONAL[letter] for letter in kind[:-3] or "PO")
        if number is None:
            raise ShapeError(f"from_spec: {word!r} names no ratio; such as {word}1.5 fits")
        return [FractionalMaxPooling(d, float(number), sequence=sequence, overlap=overlap,
                                     rng=rng.integers(2**63))], channels
    if kind in ("output", "softmax"):
        if classes is None:
            raise ShapeError(f"from_spec: {word!r} came without a number of classes; give classes=")
        return [GlobalPooling(), NetworkInNetwork(channels, classes, rng=rng)], classes
    made = {"GP": GlobalPooling, "ReLU": ReLU, "VLReLU": VeryLeakyReLU, "BN": lambda: BatchNormalization(channels),
            "LReLU": lambda: LeakyReLU(float(number or 0.01)), "D": lambda: Dropout(float(number or 0.5), rng=rng)}
    return ([] if kind == "linear" else [made[kind]()]), channels


def _whole(number, word):
    if number is None or not number.isdigit():
        raise ShapeError(f"from_spec: {word!r} needs a whole number after its letters")
    return number
