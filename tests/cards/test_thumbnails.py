"""Thumbnails: staleness by name, rendering, and error messages."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image

from cards.models import Asset, Card, PresentationRule
from cards.operations import BulkPromote, RenderThumbnails
from cards.thumbnails import generate
from cards.thumbnails.illustration import load_illustration
from cards.thumbnails.stale import request_stale_rendering, stale_cards
from ops.models import Run
from ops.operations.revert import Revert
from ops.runs.rebuild import rebuild_operation
from ops.workers.jobs import advance
from tests.cards.conftest import load
from tests.ops.running import audited_changes, errors_by_object, execute_operation, execute_sql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def picture(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (60, 80), **save: Any) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).convert(mode).save(written, kind, **save)
    return written.getvalue()


def stored(name: str, content: bytes) -> str:
    return str(default_storage.save(name, ContentFile(content)))


@pytest.fixture(autouse=True)
def looks(rules: None) -> None:
    badges = {"common": "circle", "rare": "diamond", "epic": "star", "legendary": "crown"}
    for rarity, badge in badges.items():
        PresentationRule.objects.filter(rarity=rarity).update(badge_icon=badge)


@pytest.fixture
def birds(looks: None) -> list[Card]:
    """Create four cards with one picture each: two common, one rare, one epic."""
    return [
        Card.objects.create(
            card_id=f"bird-{n}",
            title="Bird",
            pack_id="p",
            rarity=rarity,
            image=stored(f"b{n}.png", picture()),
        )
        for n, rarity in enumerate(["common", "common", "rare", "epic"])
    ]


def stale() -> set[str]:
    return set(stale_cards("rarity").values_list("card_id", flat=True))


def files() -> Iterator[Path]:
    return (path for path in Path(default_storage.location).rglob("*") if path.is_file())


def test_a_card_names_its_thumbnail_whose_asset_matches_the_file(birds: list[Card]) -> None:
    run = execute_operation(RenderThumbnails)
    assert run.state == "succeeded"
    for card in Card.objects.all():
        content = default_storage.open(card.thumbnail).read()
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("WEBP", (300, 400))
        asset = Asset.objects.get(card=card)
        assert (asset.asset_key, asset.file_path, asset.asset_type) == (card.thumbnail,) * 2 + ("thumbnail",)
        assert (asset.file_size, asset.checksum) == (len(content), hashlib.sha256(content).hexdigest())
        assert (asset.mime_type, asset.metadata) == ("image/webp", {"width": 300, "height": 400})
        assert audited_changes(run)[str(card.pk)] == {"thumbnail": {"old": "", "new": card.thumbnail}}


CHANGES: dict[str, set[str]] = {
    "UPDATE cards SET rarity = 'epic' WHERE card_id = 'bird-0'": {"bird-0"},
    "UPDATE cards SET rarity_v2 = 'epic' WHERE card_id = 'bird-0'": {"bird-0"},
    "UPDATE cards SET image = 'b1.png' WHERE card_id = 'bird-3'": {"bird-3"},
    "UPDATE presentation_rules SET frame_color = '#000000' WHERE rarity = 'rare'": {"bird-2"},
    "UPDATE presentation_rules SET glow_effect = true WHERE rarity = 'common'": {"bird-0", "bird-1"},
    "UPDATE presentation_rules SET badge_icon = '' WHERE rarity = 'epic'": {"bird-3"},
    "UPDATE presentation_rules SET sort_order = 99 WHERE rarity = 'epic'": set(),
    "UPDATE cards SET title = 'Ave'": set(),
}


def test_a_changed_picture_or_style_makes_a_thumbnail_stale(birds: list[Card]) -> None:
    execute_operation(RenderThumbnails)
    assert stale() == set()
    stale_by_change = {}
    for change in CHANGES:
        with transaction.atomic():
            execute_sql(change)
            stale_by_change[change] = stale()
            transaction.set_rollback(True)
    assert stale_by_change == CHANGES


def test_a_promotion_renders_thumbnails_and_its_revert_reuses_the_old_ones(
    birds: list[Card],
) -> None:
    execute_operation(RenderThumbnails)
    first = dict(Card.objects.values_list("pk", "thumbnail"))
    promotion = execute_operation(BulkPromote, params={"from_rarity": "common", "to_rarity": "epic"})
    following = Run.objects.get(follows=promotion)
    advance(following.pk)
    assert (stale(), len(audited_changes(following)), Asset.objects.count()) == (set(), 2, 6)
    execute_operation(Revert, params={"run": promotion.pk})
    advance(Run.objects.latest("pk").pk)
    assert dict(Card.objects.values_list("pk", "thumbnail")) == first
    assert (stale(), Asset.objects.count()) == (set(), 6)


def test_a_rule_changed_during_rendering_is_handled_by_the_next_run(
    birds: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = generate._render_asset

    def change_a_rule_then_make(card: Any, rarity: str) -> tuple[Asset, bytes]:
        if (
            PresentationRule.objects.filter(rarity="common")
            .exclude(frame_color="#123456")
            .update(frame_color="#123456")
        ):
            load(None, "--execute", command="load_rules")
        return made(card, rarity)

    monkeypatch.setattr(generate, "_render_asset", change_a_rule_then_make)
    run = execute_operation(RenderThumbnails)
    assert run.state == "succeeded"
    advance(Run.objects.get(follows=run).pk)
    assert stale() == set()


def test_rendering_twice_stores_one_file(birds: list[Card]) -> None:
    rows = list(stale_cards("rarity"))
    assert generate.generate_thumbnails(rows, "rarity") == generate.generate_thumbnails(rows, "rarity")
    assert Asset.objects.count() == 4
    assert len([path for path in files() if "thumbnails" in path.parts]) == 4


ELSEWHERE = (
    "https://example.com/a.webp",
    "HTTP://A/b.png",
    "//cdn.example.com/a.webp",
    "data:image/png;base64,AA",
)


def test_a_card_with_an_external_picture_is_not_stale(birds: list[Card]) -> None:
    for card, image in zip(birds, ELSEWHERE, strict=True):
        Card.objects.filter(pk=card.pk).update(image=image)
    assert stale() == set()
    request_stale_rendering("ada")
    assert not Run.objects.exists()


def test_a_loaded_pack_of_external_pictures_requests_no_run(write: Callable[..., Path]) -> None:
    cards = [
        {"cardId": f"c{n}", "title": "C", "packId": "p", "imageUrl": url}
        for n, url in enumerate(ELSEWHERE[:2])
    ]
    load(write(cards), "--execute")
    assert (Card.objects.count(), stale(), Run.objects.count()) == (2, set(), 0)


def test_a_card_whose_picture_became_external_loses_its_thumbnail(birds: list[Card]) -> None:
    execute_operation(RenderThumbnails)
    Card.objects.filter(card_id="bird-0").update(image=ELSEWHERE[0])
    Card.objects.filter(card_id="bird-1").update(
        image=ELSEWHERE[0], thumbnail="thumbnails/of-the-old-backend.webp"
    )
    assert execute_operation(RenderThumbnails).state == "succeeded"
    left = dict(Card.objects.filter(image=ELSEWHERE[0]).values_list("card_id", "thumbnail"))
    assert left == {"bird-0": "", "bird-1": "thumbnails/of-the-old-backend.webp"}


def test_thumbnails_of_another_drawing_version_are_stale(
    birds: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute_operation(RenderThumbnails)
    assert stale() == set()
    monkeypatch.setattr("cards.thumbnails.stale.DRAWING_VERSION", 0)
    assert len(stale()) == 4


def test_a_card_without_a_picture_loses_only_a_rendered_thumbnail(birds: list[Card]) -> None:
    execute_operation(RenderThumbnails)
    Card.objects.filter(card_id="bird-0").update(image="")
    Card.objects.filter(card_id="bird-1").update(image="", thumbnail="https://example.com/t.webp")
    execute_operation(RenderThumbnails)
    thumbnails = dict(Card.objects.values_list("card_id", "thumbnail"))
    assert (thumbnails["bird-0"], thumbnails["bird-1"]) == ("", "https://example.com/t.webp")


def png(width: int, height: int, rows: bytes, *, depth: int, kind: int, **chunks: bytes) -> bytes:
    """Return a PNG of ``rows``, each with a leading zero; ``kind`` 0 is grey, 2 RGB, 4 and 6 with alpha."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = {"IHDR": header, **chunks, "IDAT": zlib.compress(rows), "IEND": b""}
    chunks = ((name.encode() + content) for name, content in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in chunks
    )


BAD: dict[str, tuple[bytes | None, str]] = {
    "half.webp": (picture("WEBP", size=(600, 800))[:80], "half.webp is damaged: "),
    "half.jpg": (picture("JPEG", size=(600, 800))[:900], "half.jpg is damaged: "),
    "half.png": (picture("PNG", size=(600, 800))[:200], "half.png is damaged: "),
    "huge.png": (
        png(9_000, 9_000, b"", depth=8, kind=0),
        "huge.png has 9,000 x 9,000 pixels; 64,000,000 in all at most",
    ),
    # The header alone is of ten thousand million pixels.
    "bomb.png": (png(100_000, 100_000, b"", depth=8, kind=2), "bomb.png has more than 64,000,000 pixels"),
    "text.webp": (
        b"Not a picture at all.",
        "text.webp is not a picture in one of the formats AVIF, GIF, JPEG, PNG, WEBP",
    ),
    "empty.webp": (b"", "empty.webp is not a picture"),
    "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "program.eps is not a picture"),
    "gone.webp": (None, "gone.webp is not in the storage"),
    "../../etc/passwd": (None, "../../etc/passwd is outside the storage"),
    "/etc/passwd": (None, "/etc/passwd is outside the storage"),
    "no-width.gif": (b"GIF89a" + bytes(7) + b";", "no-width.gif is "),
    "no-width.png": (png(0, 0, b"", depth=8, kind=2), "no-width.png is "),
    ".": (None, ". cannot be read: Is a directory"),
    "x" * 400: (None, "x" * 400 + " cannot be read: File name too long"),
}


def test_a_bad_picture_fails_only_its_own_card_with_the_reason(birds: list[Card]) -> None:
    for number, (name, (content, _)) in enumerate(BAD.items()):
        if content is not None:
            assert stored(name, content) == name
        Card.objects.create(card_id=f"bad-{number}", title="Bad", pack_id="p", image=name)
    Card.objects.create(card_id="mythic", title="Bad", pack_id="p", image="b0.png", rarity="mythic")
    run = execute_operation(RenderThumbnails)
    assert run.state == "finished_with_failures"
    errors = {Card.objects.get(pk=key).image: reason for key, reason in errors_by_object(run).items()}
    assert errors.pop("b0.png") == "there is no presentation rule for its rarity 'mythic'"
    assert {name: errors[name][: len(reason)] for name, (_, reason) in BAD.items()} == {
        name: reason for name, (_, reason) in BAD.items()
    }
    assert Card.objects.exclude(thumbnail="").count() == 4


def test_an_unknown_badge_is_left_out_and_noted(birds: list[Card]) -> None:
    PresentationRule.objects.filter(rarity="epic").update(badge_icon="gem of Bogotá")
    run = execute_operation(RenderThumbnails)
    assert run.state == "succeeded"
    note = "epic is drawn without a badge: 'gem of Bogotá' is not one of circle, diamond, star, crown"
    assert list(rebuild_operation(run).get_notes(run)) == [note]


def test_the_middle_of_a_wide_picture_is_shown() -> None:
    image, written = Image.new("RGB", (300, 40), "blue"), io.BytesIO()
    image.paste("red", (130, 0, 170, 40))
    image.save(written, "PNG")
    assert load_illustration(stored("wide.png", written.getvalue()), (30, 40)).getcolors() == [
        (1200, (255, 0, 0))
    ]


def test_a_file_is_written_atomically() -> None:
    class Broken(ContentFile):
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield b"the first half"
            raise ConnectionError("the other half does not come")

    with pytest.raises(ConnectionError):
        default_storage.save("a/whole.webp", Broken(b"both halves"))
    assert list(files()) == []
    default_storage.save("a/whole.webp", ContentFile(b"both halves"))
    assert [path.read_bytes() for path in files()] == [b"both halves"]


def test_a_storage_that_fails_fails_the_run_and_no_card(
    birds: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str, content: object) -> str:
        raise OSError(28, "No space left on device", name)

    monkeypatch.setattr(default_storage, "save", full)
    with pytest.raises(OSError, match="No space left"):
        execute_operation(RenderThumbnails)
    run = Run.objects.get()
    assert (run.state, errors_by_object(run)) == ("failed", {})


def test_a_loaded_pack_is_followed_by_its_thumbnails(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    pack = write([{"cardId": "a", "title": "A", "packId": "p", "imageUrl": "a.png"}])
    load(pack)
    assert not Run.objects.exists()
    load(pack, "--execute")
    advance(Run.objects.get().pk)
    assert (stale(), Asset.objects.count()) == (set(), 1)


def test_a_thumbnail_of_another_backend_is_not_looked_up(birds: list[Card]) -> None:
    """Thumbnail paths of another backend are not looked up in the storage."""
    for card, path in zip(birds, ("/srv/thumbs/1.webp", "../1.webp", "thumbs/1-2-3.webp"), strict=False):
        Asset.objects.create(
            asset_key=card.card_id,
            asset_type="thumbnail",
            file_path=path,
            file_size=1,
            mime_type="image/webp",
            card=card,
        )
    assert (execute_operation(RenderThumbnails).state, stale()) == ("succeeded", set())
