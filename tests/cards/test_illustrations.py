import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from cards.models import Card
from cards.packs.errors import BadValue, InvalidPack
from cards.packs.illustrations import Illustrations
from ops.models import AuditLog
from tests.cards.conftest import card, load, refusal

pytestmark = pytest.mark.usefixtures("rules")

Write = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "Cóndor.WEBP"
    path.parent.mkdir()
    path.write_bytes(b"a picture")
    return path


def stored_as(content: bytes) -> str:
    return f"packs/aves/cóndor.{hashlib.sha256(content).hexdigest()[:12]}.webp"


def test_a_picture_beside_the_pack_is_stored_and_named_by_its_checksum(write: Write, picture: Path) -> None:
    load(write([card(imageUrl="images/Cóndor.WEBP")]), "--execute")
    name = Card.objects.get().image
    assert name == stored_as(b"a picture")
    assert default_storage.open(name).read() == b"a picture"


def test_a_second_load_stores_no_second_file_and_changes_nothing(
    write: Write, picture: Path, tmp_path: Path
) -> None:
    pack = write([card(imageUrl="images/Cóndor.WEBP"), card("other", imageUrl="images/Cóndor.WEBP")])
    load(pack, "--execute")
    assert "  2  unchanged" in load(pack, "--execute").splitlines()
    assert len(list((tmp_path / "storage" / "packs" / "aves").iterdir())) == 1
    assert AuditLog.objects.count() == 2


def test_a_new_picture_under_the_old_name_is_a_change_that_is_audited(write: Write, picture: Path) -> None:
    pack = write([card(imageUrl="images/Cóndor.WEBP")])
    load(pack, "--execute")
    picture.write_bytes(b"a better picture")
    load(pack, "--execute")
    assert AuditLog.objects.order_by("pk").last().changes == {
        "image": {"old": stored_as(b"a picture"), "new": stored_as(b"a better picture")}
    }
    assert default_storage.exists(stored_as(b"a picture")), "an old version of the card can be shown"


@pytest.mark.django_db(transaction=True)
def test_a_preview_and_a_refused_pack_store_nothing(write: Write, picture: Path, tmp_path: Path) -> None:
    load(write([card(imageUrl="images/Cóndor.WEBP")]))
    refusal(write([card(imageUrl="images/Cóndor.WEBP"), card(title="")]), "--execute")
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize(
    "image",
    ["https://example.org/a.webp", "/images/a.webp", "data:image/png;base64,aa", "images/none.webp", "a b?c"],
)
def test_an_image_that_is_not_in_the_folder_is_kept_as_given(write: Write, image: str) -> None:
    load(write([card(imageUrl=image)]), "--execute")
    assert Card.objects.get().image == image


@pytest.mark.parametrize(
    "image", ["../secret.txt", "images/../../secret.txt", "..", "images\\..\\..\\secret.txt"]
)
def test_a_path_out_of_the_folder_is_a_bad_row(write: Write, image: str) -> None:
    _, message = refusal(write([card(imageUrl=image)]), "--execute")
    assert message.splitlines()[1] == f"  row [0]  image {image!r} is outside the pack's folder"


def test_a_link_out_of_the_folder_is_a_bad_row(
    write: Write, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "link.webp").symlink_to(secret)
    _, message = refusal(write([card(imageUrl="link.webp")]), "--execute")
    assert message.splitlines()[1] == "  row [0]  image 'link.webp' links to a file outside the pack's folder"


def test_a_folder_or_a_dead_link_is_a_bad_row(write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    _, message = refusal(write([card("a", imageUrl="folder"), card("b", imageUrl="dead")]), "--execute")
    assert message.splitlines()[1:] == [
        "  row [0]  image 'folder' is not a file",
        "  row [1]  image 'dead' is not a file",
    ]


def test_a_pack_whose_name_is_a_path_stays_inside_the_storage(write: Write, picture: Path) -> None:
    load(write([card(packId="../../etc", imageUrl="images/Cóndor.WEBP")]), "--execute")
    assert Card.objects.get().image.startswith("packs/etc/cóndor.")


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x"])
def test_a_file_that_is_no_picture_is_a_bad_row(folder: Path, name: str) -> None:
    (folder / name).write_text("<script>alert(1)</script>")
    with pytest.raises(BadValue, match="has none of the suffixes"):
        Illustrations(folder).resolve(name, "p")


@pytest.mark.parametrize("image", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x"])
def test_a_url_that_is_not_a_picture_is_a_bad_row(folder: Path, image: str) -> None:
    with pytest.raises(BadValue, match="is not the URL of a picture"):
        Illustrations(folder).resolve(image, "p")


def test_a_pack_is_refused_if_the_storage_cannot_be_written(folder: Path, settings: Any) -> None:
    (folder / "x.png").write_bytes(b"png")
    settings.MEDIA_ROOT = folder / "x.png"  # a file where a folder should be
    illustrations = Illustrations(folder)
    illustrations.resolve("x.png", "p")
    with pytest.raises(InvalidPack, match="cannot be stored"):
        illustrations.store_found()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pack"
    made.mkdir()
    return made
