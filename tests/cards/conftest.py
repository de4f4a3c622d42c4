import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from cards.models import PresentationRule

RARITIES = ("common", "rare", "epic", "legendary")


@pytest.fixture
def rules(db: None) -> None:
    """The four rarities of the house. A test that previews needs a transaction of its own besides."""
    for order, rarity in enumerate(RARITIES):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)


@pytest.fixture(autouse=True)
def _own_storage(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An export of the Node backend."""
    return Path(shutil.copytree(Path(__file__).parent / "node_export", tmp_path / "node"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a pack: text or bytes as they are, anything else as JSON."""

    def write(content: Any, name: str = "pack.json") -> Path:
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def run(command: str, *args: object) -> str:
    """What the command said, without the white space at its end."""
    stdout = io.StringIO()
    call_command(command, *args, stdout=stdout)
    return stdout.getvalue().rstrip()


def load(path: object, *flags: str, command: str = "load_pack") -> str:
    """What the command said that Ada typed."""
    return run(command, *([path] if path else []), *flags, "--as", "ada")


def refusal(path: object, *flags: str, command: str = "load_pack") -> tuple[int, str]:
    """The exit status and the words with which the command refused."""
    with pytest.raises(CommandError) as caught:
        load(path, *flags, command=command)
    return caught.value.returncode, str(caught.value)


def card(card_id: str = "cóndor", **fields: Any) -> dict[str, Any]:
    return {"cardId": card_id, "title": "Cóndor", "packId": "aves", **fields}
