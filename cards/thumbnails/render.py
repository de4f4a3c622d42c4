"""From an illustration and a look to the bytes of a thumbnail."""

from __future__ import annotations

import io

from PIL import Image

from cards.thumbnails.frame import HEIGHT, WIDTH, WINDOW, frame_of
from cards.thumbnails.illustration import fitted
from cards.thumbnails.look import Look

MIME_TYPE = "image/webp"
SIZE = (WIDTH, HEIGHT)
_ART = (WINDOW[2] - WINDOW[0], WINDOW[3] - WINDOW[1])
# Less effort for the same quality: a third of the time, three percent more bytes.
_QUALITY, _EFFORT = 85, 2


def render(image: str, look: Look) -> bytes:
    """The thumbnail of a stored illustration as WebP. Raises BadPicture."""
    frame, art = frame_of(look), fitted(image, _ART)
    if art.mode == "RGBA":
        art = Image.alpha_composite(Image.new("RGBA", _ART, (*frame.ground, 255)), art)
    thumbnail = Image.new("RGBA", SIZE)
    thumbnail.paste(art, WINDOW[:2], frame.window)
    thumbnail.alpha_composite(frame.overlay)
    written = io.BytesIO()
    thumbnail.save(written, "WEBP", quality=_QUALITY, method=_EFFORT)
    return written.getvalue()
