"""Illustrations of all bit depths, colour spaces and orientations, and their thumbnails."""

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from cards.thumbnails.illustration import load_illustration
from tests.cards import profiles
from tests.cards.test_thumbnails import picture, png

WINDOW = (30, 40)
RED = (255, 0, 0)


def shown(content: bytes, size: tuple[int, int] = WINDOW) -> Image.Image:
    return load_illustration(str(default_storage.save("picture", ContentFile(content))), size)


def written(image: Image.Image, kind: str = "PNG", **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def differs(one: Image.Image, other: Image.Image) -> int:
    """Return the maximum difference of a channel of a pixel, 0 to 255."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "LA"),
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "I;16"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
        ("AVIF", "RGB"),
        ("MPO", "RGB"),
    ],
)
def test_pictures_of_every_format_are_rendered(kind: str, mode: str) -> None:
    art = shown(picture(kind, mode))
    assert (art.size, art.mode) == (WINDOW, "RGBA" if mode.endswith("A") else "RGB")


def grey(value: int) -> bytes:
    return struct.pack(">H", value)


# A picture of one pixel, mostly with 16 bits per channel, and its expected colour.
DEEP: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "black": (png(1, 1, b"\0" + grey(0), depth=16, kind=0), (0, 0, 0)),
    "dark": (png(1, 1, b"\0" + grey(20 * 257), depth=16, kind=0), (20, 20, 20)),
    "bright": (png(1, 1, b"\0" + grey(200 * 257), depth=16, kind=0), (200, 200, 200)),
    "white": (png(1, 1, b"\0" + grey(65535), depth=16, kind=0), (255, 255, 255)),
    "clear": (png(1, 1, b"\0" + grey(770), depth=16, kind=0, tRNS=grey(770)), (0, 0, 0, 0)),
    "opaque": (png(1, 1, b"\0" + grey(771), depth=16, kind=0, tRNS=grey(770)), (3, 3, 3, 255)),
    "clear rgb": (
        png(
            1,
            1,
            b"\0" + grey(32768) + grey(4660) + grey(65535),
            depth=16,
            kind=2,
            tRNS=grey(32768) + grey(4660) + grey(65535),
        ),
        (0, 0, 0, 0),
    ),
    "clear in 2 bits": (png(1, 1, b"\0\x80", depth=2, kind=0, tRNS=grey(2)), (0, 0, 0, 0)),
    "clear in 4 bits": (png(1, 1, b"\0\x70", depth=4, kind=0, tRNS=grey(7)), (0, 0, 0, 0)),
    "opaque in 2 bits": (png(1, 1, b"\0\x80", depth=2, kind=0, tRNS=grey(1)), (170, 170, 170, 255)),
    "rgb": (png(1, 1, b"\0" + grey(5140) + grey(51400) + grey(0), depth=16, kind=2), (20, 200, 0)),
    "grey and alpha": (png(1, 1, b"\0" + grey(51400) + grey(65535), depth=16, kind=4), (200, 200, 200, 255)),
    "rgba": (
        png(1, 1, b"\0" + grey(5140) + grey(51400) + grey(0) + grey(65535), depth=16, kind=6),
        (20, 200, 0, 255),
    ),
}


@pytest.mark.parametrize("name", DEEP)
def test_bit_depth_does_not_change_brightness_or_transparency(name: str) -> None:
    content, expected = DEEP[name]
    assert shown(content).getcolors() == [(WINDOW[0] * WINDOW[1], expected)]


@pytest.fixture
def patches() -> Image.Image:
    """Return 48 colours across RGB, in a picture as large as the window."""
    image = Image.new("RGB", (240, 320))
    for n in range(48):
        colour = (n % 4 * 85, n // 4 % 4 * 85, n // 16 * 127)
        image.paste(colour, (n % 6 * 40, n // 6 * 40, n % 6 * 40 + 40, n // 6 * 40 + 40))
    return image


PROFILED = {
    "display-p3.png": ("RGB", profiles.rgb()),
    "display-p3.webp": ("RGB", profiles.rgb()),
    "alpha.png": ("RGBA", profiles.rgb()),
    "palette.png": ("P", profiles.rgb()),
    "grey.png": ("L", profiles.grey()),
    "grey-and-alpha.png": ("LA", profiles.grey()),
    "cmyk.jpeg": ("CMYK", profiles.cmyk()),
}


@pytest.mark.parametrize("name", PROFILED)
def test_colours_equal_those_of_libvips(name: str, patches: Image.Image, tmp_path: Path) -> None:
    program = shutil.which("vips")
    if program is None:
        pytest.skip("there is no vips: apt-get install libvips-tools")
    mode, profile = PROFILED[name]
    save = {"lossless": True} if name.endswith("webp") else {"quality": 95} if name.endswith("jpeg") else {}
    kind = name.rpartition(".")[2]
    (tmp_path / name).write_bytes(written(patches.convert(mode), kind, icc_profile=profile, **save))
    arguments = ["--embedded", "--intent", "relative"]
    subprocess.run(
        [program, "icc_transform", tmp_path / name, tmp_path / "converted.png", "srgb", *arguments],
        check=True,
    )
    ours = shown((tmp_path / name).read_bytes(), patches.size)
    with Image.open(tmp_path / "converted.png") as theirs:
        assert differs(ours, theirs.convert(ours.mode)) <= 4


# What libvips 8.18 makes of a colour: (picture's mode, colour, profile, colour that is shown).
IN_SRGB = {
    "red of display p3 lies beyond that of sRGB": ("RGB", (200, 30, 30), profiles.rgb(), (220, 0, 0)),
    "grey of display p3 is grey": ("RGB", (128, 128, 128), profiles.rgb(), (128, 128, 128)),
    "grey that counts light itself": ("L", 128, profiles.grey(), (188, 188, 188)),
    "ink": ("CMYK", (255, 0, 0, 0), profiles.cmyk(), (0, 206, 238)),
}


@pytest.mark.parametrize("name", IN_SRGB)
def test_colours_are_converted_to_srgb_by_the_embedded_profile(name: str) -> None:
    mode, colour, profile, expected = IN_SRGB[name]
    image = Image.new(mode, (60, 80), colour)
    content = written(image, "JPEG" if mode == "CMYK" else "PNG", icc_profile=profile)
    assert differs(shown(content), Image.new("RGB", WINDOW, expected)) <= 4


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all",
        profiles.rgb()[:200],
        profiles.grey(),
        profiles.cmyk(),
        profiles.rgb().replace(b"rTRC", b"xTRC"),
    ],
    ids=["empty", "text", "cut", "grey", "cmyk", "incomplete"],
)
def test_a_damaged_or_unsuitable_profile_is_ignored(profile: bytes) -> None:
    image = Image.new("RGB", (60, 80), (200, 30, 30))
    assert shown(written(image, icc_profile=profile)).getcolors() == [(1200, (200, 30, 30))]


def test_a_transparent_colour_of_a_palette_stays_transparent() -> None:
    image = Image.new("P", (60, 80), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 60, 40))
    art = shown(written(image, transparency=0, icc_profile=profiles.grey()))
    assert [art.getpixel((15, y))[3] for y in (5, 35)] == [0, 255]


def test_the_first_frame_of_an_animation_is_used() -> None:
    first, second = (Image.new("RGB", (60, 80), colour) for colour in ("red", "blue"))
    for kind in ("GIF", "PNG", "WEBP"):
        save = {"lossless": True} if kind == "WEBP" else {}
        content = written(first, kind, save_all=True, append_images=[second], **save)
        assert shown(content).convert("RGB").getcolors() == [(1200, RED)]


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1)])
def test_pictures_of_extreme_shapes_fill_the_window(size: tuple[int, int]) -> None:
    assert shown(written(Image.new("RGB", size, "red"))).getcolors() == [(1200, RED)]


def stripes(size: tuple[int, int], breadth: int) -> Image.Image:
    """Return black and white stripes of the given width."""
    image = Image.new("L", size, 255)
    for left in range(0, size[0], 2 * breadth):
        image.paste(0, (left, 0, left + breadth, size[1]))
    return image


# An EXIF orientation, and how a picture is laid so that it asks for that.
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return written(image, kind, exif=exif, quality=95)


@pytest.mark.parametrize(("orientation", "laid"), list(TURNED.items()))
def test_exif_orientation_is_applied(orientation: int, laid: Image.Transpose) -> None:
    upright = Image.new("RGB", (60, 80), "white")
    upright.paste("red", (0, 0, 30, 40))
    upright.paste("blue", (30, 40, 60, 80))
    for kind in ("JPEG", "PNG", "WEBP"):
        art = shown(oriented(upright.transpose(laid), orientation, kind))
        assert differs(art, shown(written(upright))) < 60


@pytest.mark.parametrize(("orientation", "laid"), list(TURNED.items()))
def test_a_turned_photograph_keeps_its_detail(orientation: int, laid: Image.Transpose) -> None:
    window, upright = (60, 80), stripes((640, 480), 7)  # a little over a pixel in the window
    lying = shown(oriented(upright.transpose(laid), orientation), window)
    assert differs(lying, shown(written(upright), window)) < 60


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0no TIFF", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"])
def test_invalid_exif_data_are_ignored(exif: bytes) -> None:
    content = written(Image.new("RGB", (60, 80), "red"), "JPEG", exif=exif, quality=95)
    assert differs(shown(content), Image.new("RGB", WINDOW, "red")) < 3
