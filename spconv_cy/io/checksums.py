"""CRC-32 as zlib's: of bytes, and of pieces one after the other."""

try:
    from spconv_cy.compiled.checksum import crc32 as crc32
    from spconv_cy.compiled.checksum import joined as joined
except ImportError:
    from zlib import crc32 as crc32  # type: ignore[assignment]

    POLYNOMIAL = 0xEDB88320                                              # the bit of x^31 is the lowest

    def joined(first: int, second: int, length: int) -> int:
        """Return the CRC-32 of two pieces one after the other, from that of each and the bytes of the second."""
        power = 1 << 23                                                  # x^8
        while length:
            if length & 1:
                first = _product(first, power)
            power, length = _product(power, power), length >> 1
        return first ^ second

    def _product(a: int, b: int) -> int:
        """Return the product of two polynomials modulo that of CRC-32."""
        found = 0
        for bit in range(31, -1, -1):
            if a >> bit & 1:
                found ^= b
            b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
        return found
