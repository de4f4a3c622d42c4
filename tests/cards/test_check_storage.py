"""The command check_storage: files that nothing names, and assets without a file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cards.models import Asset, Card
from tests.conftest import Manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def media(settings: Any) -> Path:
    """A storage with three files that something names, and one that an upload has not finished."""
    folder = Path(settings.MEDIA_ROOT)
    for name in ("packs/p/a.webp", "thumbnails/3f/t.webp", "catalogue/cover.webp", "packs/p/.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    Card.objects.create(
        card_id="a", title="A", pack_id="p", image="packs/p/a.webp", thumbnail="thumbnails/3f/t.webp"
    )
    create_asset("catalogue/cover.webp")
    return folder


def create_asset(path: str) -> None:
    Asset.objects.create(asset_key=path, asset_type="a", file_path=path, file_size=1, mime_type="image/webp")


def test_a_storage_in_order_has_nothing_unused_and_nothing_missing(media: Path, manage: Manage) -> None:
    result = manage("check_storage")
    assert (result.returncode, result.stdout.splitlines()) == (
        0,
        [
            "        3  files in the storage",
            "        0  of them that no asset and no card names",
            "        0  assets whose file is missing",
        ],
    )


def test_files_that_nothing_names_and_assets_without_a_file_are_listed(media: Path, manage: Manage) -> None:
    for number in range(22):
        (media / f"packs/p/old{number:02}.webp").touch()
    (media / "packs/añil\n.webp").touch()
    Path(os.fsdecode(bytes(media) + b"/packs/\xff.webp")).touch()
    create_asset("../gone.webp")
    result = manage("check_storage")
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert lines[1].strip() == "24  of them that no asset and no card names"
    assert "           packs/añil .webp" in lines
    assert "           ... and 4 more" in lines
    assert lines[lines.index("        1  assets whose file is missing") + 1].strip() == "../gone.webp"
    assert lines[-1] == "Keep those files: a revert may need one that the audit log names."
    found = json.loads(manage("check_storage", "--json").stdout)
    assert (found["files"], found["unused"], found["missing_names"]) == (27, 24, ["../gone.webp"])


def test_a_storage_that_is_not_there_yet_is_empty(media: Path, manage: Manage, settings: Any) -> None:
    settings.MEDIA_ROOT = media / "none"
    result = manage("check_storage")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.startswith("        0  files in the storage")
