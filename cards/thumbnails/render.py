"""From an illustration and a look to the bytes of a thumbnail."""

from __future__ import annotations

import io

from PIL import Image

from cards.thumbnails.frame import HEIGHT, WIDTH, WINDOW_BOX, render_frame
from cards.thumbnails.illustration import load_illustration
from cards.thumbnails.style import FrameStyle

MIME_TYPE = "image/webp"
SIZE = (WIDTH, HEIGHT)
_ILLUSTRATION_SIZE = (WINDOW_BOX[2] - WINDOW_BOX[0], WINDOW_BOX[3] - WINDOW_BOX[1])
# Less effort for the same quality: a third of the time, three percent more bytes.
_WEBP_QUALITY, _WEBP_METHOD = 85, 2


def render_thumbnail(image: str, look: FrameStyle) -> bytes:
    """The thumbnail of a stored illustration as WebP. Raises BadPicture."""
    frame, art = render_frame(look), load_illustration(image, _ILLUSTRATION_SIZE)
    if art.mode == "RGBA":
        art = Image.alpha_composite(
            Image.new("RGBA", _ILLUSTRATION_SIZE, (*frame.background_colour, 255)), art
        )
    thumbnail = Image.new("RGBA", SIZE)
    thumbnail.paste(art, WINDOW_BOX[:2], frame.window)
    thumbnail.alpha_composite(frame.overlay)
    written = io.BytesIO()
    thumbnail.save(written, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD)
    return written.getvalue()
