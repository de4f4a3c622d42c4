#!/usr/bin/env bash
# Pillow 13.0.0 and pypng 0.20220715.0 (PyPI), Python 3.10 or newer.
#
# One would guess: a PNG may name one colour that is clear (the chunk tRNS) instead of an alpha channel, and Pillow reads
# it: Image.info["transparency"] is there, has_transparency_data is True, and convert("RGBA") makes those pixels clear.
#
# What happens: that is so for grey in 1 and 8 bits and for RGB in 8. In 2, 4 and 16 bits Pillow brings the pixels to
# another scale (2 of 3 becomes 170 of 255, 51400 becomes 200, and grey in 16 bits white) but leaves the clear colour as it
# stood in the file, so that hardly a pixel has it: convert("RGBA") gives a picture that is opaque all over. pypng, which reads
# the same files by the letter of the specification, has them clear, as browsers do. No error, no warning.
#
# Why users care: icons and diagrams, which small palettes of grey and one clear colour are made for, and 16-bit output
# of scientific and 3D programs get a box in black or grey behind them once a site scales them. Before load(), bring the
# colour to the pixels' scale, by image.tile[0].args: times 85 for "L;2", 17 for "L;4", >> 8 for "RGB;16B".
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/clear.XXXXXX")
trap 'rm -rf "$here"' EXIT

echo "Fetching Pillow 13.0.0 and pypng 0.20220715.0 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0 pypng==0.20220715.0
cat >"$here/try.py" <<'PYTHON'
import io

import png
from PIL import Image

# Bits, the clear colour, another colour: a picture of two pixels, the first of them clear.
FILES = {
    "grey, 1 bit": (1, 1, 0),
    "grey, 2 bits": (2, 2, 3),
    "grey, 4 bits": (4, 7, 15),
    "grey, 8 bits": (8, 200, 255),
    "grey, 16 bits": (16, 51400, 65535),
    "RGB, 8 bits": (8, (20, 200, 0), (0, 0, 0)),
    "RGB, 16 bits": (16, (32768, 4660, 65535), (0, 0, 0)),
}


def alphas(bits, clear, other):
    """Of both pixels, of 255: as pypng reads the file, and as Pillow converts it."""
    is_grey, file = isinstance(clear, int), io.BytesIO()
    row = [clear, other] if is_grey else [*clear, *other]
    png.Writer(2, 1, greyscale=is_grey, bitdepth=bits, transparent=clear).write(file, [row])
    _, _, rows, told = png.Reader(bytes=file.getvalue()).asRGBA()
    most = 2 ** told["bitdepth"] - 1
    expected = [alpha * 255 // most for alpha in list(next(iter(rows)))[3::4]]
    return expected, list(Image.open(file).convert("RGBA").getchannel("A").tobytes())


opaque = []
for name, told in FILES.items():
    expected, found = alphas(*told)
    print(f"{name:13}  alpha by pypng {expected}, by Pillow {found}")
    assert expected == [0, 255]
    if found == [255, 255]:
        opaque.append(name)
    else:
        assert found == expected
raise SystemExit(0 if opaque == ["grey, 2 bits", "grey, 4 bits", "grey, 16 bits", "RGB, 16 bits"] else 1)
PYTHON
if "$here/venv/bin/python" "$here/try.py"; then
    echo "As described: in 2, 4 and 16 bits the clear colour is not found again, and the picture is opaque."
else
    echo "It has changed: see above." >&2
    exit 1
fi
