"""Every example of docs/operations.md is run as it stands there."""

import re
from typing import Any

import pytest
from django.utils import timezone

from cards.models import Card
from ops import testing
from ops.exceptions import InvalidDeclaration
from ops.operations import registry
from tests.manage import ROOT
from tests.ops.conftest import RegisterOperation, declare
from tests.ops.running import make_operation
from tests.trials.models import Thing

__all__ = ["declare"]

PAGE = (ROOT / "docs" / "operations.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
pytestmark = pytest.mark.django_db


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples define, the operations registered until the test ends."""
    monkeypatch.setattr(registry, "_operations", dict(registry._operations))
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(example, names)
    return names


def card(**values: Any) -> Card:
    return Card.objects.create(**{"card_id": "a", "title": "A", "pack_id": "p", **values})


def test_the_operations_run_and_revert(page: dict[str, Any]) -> None:
    quiet = card(description="two words")
    Card.objects.update(updated_at="2020-01-01T00:00:00Z")
    card(card_id="b")
    run = testing.execute(page["RetireQuietCards"], {"days": "30"})
    assert (run.state, testing.changes(run).keys()) == ("succeeded", {str(quiet.pk)})
    assert testing.revert(run).state == "succeeded"
    assert Card.objects.get(pk=quiet.pk).rarity == "common"


def test_the_tests_pass(page: dict[str, Any]) -> None:
    page["CountWordsTest"]().test_it_counts_and_can_be_reverted()
    Card.objects.all().delete()
    page["test_cards_of_yesterday_are_not_quiet"]()


def test_the_printed_error_about_the_clock_is_the_real_one(declare: RegisterOperation) -> None:
    rows = lambda self: Thing.objects.filter(updated_at__lt=timezone.now())  # noqa: E731
    declare(make_operation(Thing.objects.all(), {"note": "x"}, get_queryset=rows))
    with pytest.raises(InvalidDeclaration) as refused:
        testing.preview("trial")
    [printed] = re.findall(r"```\n(trial differs .*?)```", PAGE, flags=re.DOTALL)
    a_time = r"\d{4}-\S+ \S+"
    assert re.sub(a_time, "TIME", " ".join(printed.split())) == re.sub(a_time, "TIME", str(refused.value))
