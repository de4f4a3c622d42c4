"""Draw the sample pack's illustrations: `python -m cards.sample.draw [SLUG ...]`."""

import io
import json
import sys
from multiprocessing import Pool
from pathlib import Path
from random import Random

from PIL import Image, ImageChops

from cards.sample.art.gallery import PORTRAITS
from cards.sample.art.pen import HEIGHT, WIDTH, Pen
from cards.sample.art.scenes import SCENES

SAMPLE_DIR = Path(__file__).parent
PACK_FILE = SAMPLE_DIR / "colombia-birds.json"
SUPERSAMPLING = 3
MAX_BYTES = 30_000


def render_card(slug: str) -> Image.Image:
    """Render the picture of one card."""
    portrait = PORTRAITS[slug]
    rng = Random(slug)  # noqa: S311
    scene, pen = SCENES[portrait.scene], Pen.blank(SUPERSAMPLING)
    scene.back(pen, portrait.mood, rng)
    portrait.perch(pen.at(portrait.x, portrait.y), portrait.mood)
    portrait.bird(pen.at(portrait.x, portrait.y, portrait.size, portrait.turn, portrait.flip))
    scene.front(pen, portrait.mood, rng)
    return add_grain(pen.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), rng)


def add_grain(image: Image.Image, rng: Random) -> Image.Image:
    """Add a paper grain, faint and coarse, so that it needs few bytes."""
    size = (WIDTH // 3, HEIGHT // 3)
    noise = Image.frombytes("L", size, rng.randbytes(size[0] * size[1])).resize(
        image.size, Image.Resampling.BICUBIC
    )
    paper = noise.point([round(128 + (value - 128) * 0.05) for value in range(256)])
    return ImageChops.overlay(image, Image.merge("RGB", (paper,) * 3))


def encode_webp(image: Image.Image) -> bytes:
    """Encode as WebP at the best quality within MAX_BYTES."""
    for quality in range(92, 40, -4):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


def draw_illustration(url: str) -> int:
    """Write one illustration; return its size in bytes."""
    data = encode_webp(render_card(Path(url).stem))
    (SAMPLE_DIR / url).write_bytes(data)
    return len(data)


def main(slugs: list[str]) -> None:
    """Draw the named cards, or all of them."""
    urls = [card["imageUrl"] for card in json.loads(PACK_FILE.read_text(encoding="utf-8"))["cards"]]
    selected = [url for url in urls if not slugs or Path(url).stem in slugs]
    (SAMPLE_DIR / "images").mkdir(exist_ok=True)
    with Pool() as pool:
        sizes = pool.map(draw_illustration, selected, chunksize=1)
    print(f"{len(sizes)} illustrations, {sum(sizes):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
