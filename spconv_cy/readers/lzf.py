"""LZF, the compression of Marc Lehmann's liblzf that PCD files use, expanded."""

from __future__ import annotations

LARGEST_RATIO = 90                                  # a reference of 3 bytes stands for at most 264


def expanded(content: bytes, size: int) -> bytes:
    """Return the bytes that LZF compressed to `content`.

    A byte c < 32 is followed by c + 1 literal bytes. Else it begins a reference: its upper 3 bits, if 7 with a byte
    added, and 2 are the length, its lower 5 bits and the last byte are the distance less 1.

    Args:
        content: compressed bytes.
        size: of the result.

    Raises:
        ValueError: the content ends inside a part, refers to what is before its begin, or has another size.

    >>> expanded(bytes([2, 97, 98, 99, 32 * 4, 2]), 9)
    b'abcabcabc'
    """
    found, at, end = bytearray(), 0, len(content)
    while at < end:
        control = content[at]
        at += 1
        if control < 32:
            part = content[at:at + control + 1]
            at += control + 1
            if at > end:
                raise ValueError("its last part is cut short")
            found += part
        else:
            at = _copy(found, content, at, control)
        if len(found) > size:
            raise ValueError(f"more than {size} bytes")
    if len(found) != size:
        raise ValueError(f"{len(found)} bytes in place of {size}")
    return bytes(found)


def _copy(found: bytearray, content: bytes, at: int, control: int) -> int:
    """Add the bytes that a reference stands for, and return where the next part begins."""
    long = control >= 224
    if at + 1 + long > len(content):
        raise ValueError("its last part is cut short")
    length = (control >> 5) + 2 + (content[at] if long else 0)
    begin = len(found) - ((control & 31) << 8 | content[at + long]) - 1
    if begin < 0:
        raise ValueError("a reference to bytes before the first")
    part = found[begin:begin + length]
    while len(part) < length:                                            # the reference overlaps what it writes
        part += part[:length - len(part)]
    found += part
    return at + 1 + long
