"""Rendering of a thumbnail from an illustration and a frame style."""

from __future__ import annotations

import io

from PIL import Image

from cards.thumbnails.frame import HEIGHT, WIDTH, WINDOW_BOX, render_frame
from cards.thumbnails.illustration import load_illustration
from cards.thumbnails.style import FrameStyle

MIME_TYPE = "image/webp"
SIZE = (WIDTH, HEIGHT)
ILLUSTRATION_SIZE = (WINDOW_BOX[2] - WINDOW_BOX[0], WINDOW_BOX[3] - WINDOW_BOX[1])
# Method 2 instead of 4: a third of the time for the same quality, three percent more bytes.
_WEBP_QUALITY, _WEBP_METHOD = 85, 2


def render_thumbnail(image: str, style: FrameStyle) -> bytes:
    """Return the thumbnail of a stored illustration as WebP. Raises InvalidImage."""
    frame, art = render_frame(style), load_illustration(image, ILLUSTRATION_SIZE)
    if art.mode == "RGBA":
        art = Image.alpha_composite(
            Image.new("RGBA", ILLUSTRATION_SIZE, (*frame.background_colour, 255)), art
        )
    thumbnail = Image.new("RGBA", SIZE)
    thumbnail.paste(art, WINDOW_BOX[:2], frame.window)
    thumbnail.alpha_composite(frame.overlay)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD)
    return buffer.getvalue()
