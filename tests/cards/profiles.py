"""Small ICC profiles for tests, built by the specification (ICC.1:2010)."""

import struct
from itertools import product

# Of the Bradford-adapted primaries, as Apple's and Adobe's own profiles have them.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
_D50 = (0.9642, 1.0, 0.8249)


def rgb(primaries: tuple[tuple[float, ...], ...] = DISPLAY_P3, gamma: float = 2.2) -> bytes:
    """Return the profile of a display with these primaries and one gamma."""
    colorants = {f"{name}XYZ": _xyz(*xyz) for name, xyz in zip("rgb", primaries, strict=True)}
    return _profile("mntr", "RGB ", "XYZ ", colorants | {f"{name}TRC": _gamma(gamma) for name in "rgb"})


def grey(gamma: float = 1.0) -> bytes:
    return _profile("mntr", "GRAY", "XYZ ", {"kTRC": _gamma(gamma)})


def cmyk() -> bytes:
    """Return a CMYK profile whose colours differ clearly from Pillow's own conversion."""
    nodes = bytearray()
    for c, m, y, k in product((0, 1), repeat=4):
        light = max(0, 1 - 0.25 * (c + m + y) - 0.6 * k)
        nodes += bytes((round(255 * light), 128 - 40 * c + 50 * m, 128 - 30 * c + 60 * y))
    identity = struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
    tables = bytes(range(256)) * 4, bytes(nodes), bytes(range(256)) * 3
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + b"".join(tables)
    return _profile("prtr", "CMYK", "Lab ", {"A2B0": lut, "A2B1": lut, "B2A0": lut})


def _profile(kind: str, space: str, connection: str, tags: dict[str, bytes]) -> bytes:
    tags = {"wtpt": _xyz(*_D50), **tags}
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name.encode(), at + len(body), len(content))
        body += padded
    signature = "".join((kind, space, connection)).encode()
    header = struct.pack(">II4s", at + len(body), 0, b"")[:8] + struct.pack(">I", 0x02100000) + signature
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(*_D50)[8:] + bytes(48)
    return header + table + body


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))
