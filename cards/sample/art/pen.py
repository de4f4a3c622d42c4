"""The pen, which fills transformed and clipped outlines with flat colours and gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, ImageColor, ImageDraw

from cards.sample.art.geometry import Outline, Point, curve, oval, ribbon

WIDTH, HEIGHT = 600, 800
Box = tuple[int, int, int, int]
RGB = tuple[int, ...]


@dataclass(frozen=True)
class Fade:
    """A gradient between two colours, from one point to another."""

    first: str
    last: str
    start: Point
    end: Point


Paint = str | Fade


def mix(first: str, last: str, share: float) -> str:
    """Return the mix of two colours; ``share`` is that of the last, 0 to 1."""
    pairs = zip(ImageColor.getrgb(first)[:3], ImageColor.getrgb(last)[:3], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def darker(colour: str, share: float = 0.25) -> str:
    """Return a shade of the colour: towards a warm night blue, never plain black."""
    return mix(colour, "#101a2e", share)


def lighter(colour: str, share: float = 0.25) -> str:
    """Return a tint of the colour: towards warm paper."""
    return mix(colour, "#fff4dc", share)


@dataclass(frozen=True)
class Pen:
    """Draw on one image. `at` and `within` return pens for a moved and a clipped space."""

    image: Image.Image
    matrix: tuple[float, float, float, float, float, float]
    clip: Image.Image | None = None

    @classmethod
    def blank(cls, detail: int) -> "Pen":
        """Return a pen on a new image, ``detail`` times larger than the finished one."""
        return cls(Image.new("RGB", (WIDTH * detail, HEIGHT * detail)), (detail, 0, 0, 0, detail, 0))

    def at(self, x: float, y: float, size: float = 1, turn: float = 0, flip: bool = False) -> "Pen":
        """Return a pen with its origin at (x, y), turned clockwise in degrees, mirrored if ``flip``."""
        cos, sin = size * math.cos(math.radians(turn)), size * math.sin(math.radians(turn))
        side = -1 if flip else 1
        a, b, c, d, e, f = self.matrix
        moved = (
            (a * cos + b * sin) * side,
            b * cos - a * sin,
            a * x + b * y + c,
            (d * cos + e * sin) * side,
            e * cos - d * sin,
            d * x + e * y + f,
        )
        return replace(self, matrix=moved)

    def within(self, *outlines: Outline | str) -> "Pen":
        """Return a pen that draws only inside the outlines."""
        mask = Image.new("L", self.image.size)
        for outline in outlines:
            ImageDraw.Draw(mask).polygon(self._pixels(_points(outline)), fill=255)
        return replace(self, clip=ImageChops.multiply(mask, self.clip) if self.clip else mask)

    def fill(self, outline: Outline | str, paint: Paint, alpha: float = 1) -> None:
        """Fill an outline."""
        pixels = self._pixels(_points(outline))
        area = self._area(pixels)
        if area is None:
            return
        mask = Image.new("L", (area[2] - area[0], area[3] - area[1]))
        ImageDraw.Draw(mask).polygon([(x - area[0], y - area[1]) for x, y in pixels], fill=round(255 * alpha))
        if self.clip:
            mask = ImageChops.multiply(mask, self.clip.crop(area))
        if isinstance(paint, Fade):
            self.image.paste(self._gradient(paint, area), area[:2], mask)
        else:
            self.image.paste(ImageColor.getrgb(paint), area, mask)

    def dot(self, x: float, y: float, radius: float, paint: Paint, alpha: float = 1) -> None:
        """Fill a circle."""
        self.fill(oval(x, y, radius), paint, alpha)

    def line(
        self, path: Outline | str, width: float, paint: Paint, end: float | None = None, alpha: float = 1
    ) -> None:
        """Draw a curve; its width runs to `end` when that is given."""
        points = curve(path, closed=False) if isinstance(path, str) else path
        self.fill(ribbon(points, width, width if end is None else end), paint, alpha)

    def _pixels(self, points: Outline) -> list[Point]:
        a, b, c, d, e, f = self.matrix
        return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]

    def _area(self, pixels: Sequence[Point]) -> Box | None:
        xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
        left, top = max(math.floor(min(xs)), 0), max(math.floor(min(ys)), 0)
        right = min(math.ceil(max(xs)) + 1, self.image.width)
        bottom = min(math.ceil(max(ys)) + 1, self.image.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _gradient(self, fade: Fade, area: Box) -> Image.Image:
        (x0, y0), (x1, y1) = self._pixels([fade.start, fade.end])
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        shift = (area[0] - x0) * ux + (area[1] - y0) * uy
        width, height = area[2] - area[0], area[3] - area[1]
        reach = [shift + x * ux + y * uy for x in (0, width) for y in (0, height)]
        low, span = min(reach), (max(reach) - min(reach)) or 1
        ramp = Image.new("RGB", (3, 512))
        for row in range(512):
            share = min(max(low + span * row / 511, 0), 1)
            ramp.paste(ImageColor.getrgb(mix(fade.first, fade.last, share)), (0, row, 3, row + 1))
        scale = 511 / span
        rows = (ux * scale, uy * scale, (shift - low) * scale)
        return ramp.transform(
            (width, height), Image.Transform.AFFINE, (0, 0, 1.5, *rows), Image.Resampling.BILINEAR
        )


def _points(outline: Outline | str) -> Outline:
    return curve(outline) if isinstance(outline, str) else outline
