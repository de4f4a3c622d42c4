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
    """Create the four standard rarities. A test that previews also needs `transactional_db`."""
    for order, rarity in enumerate(RARITIES):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)


@pytest.fixture(autouse=True)
def _own_storage(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return a copy of an export of the Node backend."""
    return Path(shutil.copytree(Path(__file__).parent / "node_export", tmp_path / "node"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a pack: text or bytes unchanged, other values as JSON."""

    def write(content: Any, name: str = "pack.json") -> Path:
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def run(command: str, *args: object) -> str:
    """Run a command; return its output without trailing white space."""
    stdout = io.StringIO()
    call_command(command, *args, stdout=stdout)
    return stdout.getvalue().rstrip()


def load(path: object, *flags: str, command: str = "load_pack") -> str:
    """Run a loading command as ada; return its output."""
    return run(command, *([path] if path else []), *flags, "--as", "ada")


def refusal(path: object, *flags: str, command: str = "load_pack") -> tuple[int, str]:
    """Return the exit status and the message of a command that is refused."""
    with pytest.raises(CommandError) as caught:
        load(path, *flags, command=command)
    return caught.value.returncode, str(caught.value)


def card(card_id: str = "cóndor", **fields: Any) -> dict[str, Any]:
    return {"cardId": card_id, "title": "Cóndor", "packId": "aves", **fields}
