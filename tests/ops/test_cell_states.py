"""The cells of a change set as they stand: previewed, counted, and left by a run as conflicts."""

from typing import Any

import pytest

from cards.models import Card
from ops.change_sets.preview import list_runs, read_change_set
from ops.runs import cell_states
from ops.runs.cell_states import CellPage, CellReader
from ops.runs.rebuild import rebuild_operation
from ops.sql.cells import CellState
from tests.ops.change_setting import apply, make_card, revert, stage

pytestmark = pytest.mark.django_db(transaction=True)


def show(page: CellPage) -> dict[str, dict[str, tuple[Any, ...]]]:
    return {
        row.name: {cell.field.name: (cell.seen, cell.now, cell.wanted, str(cell.state)) for cell in row.cells}
        for row in page.rows
    }


def test_a_preview_says_of_each_cell_what_would_become_of_it() -> None:
    cards = [make_card(number) for number in (1, 2, 3)]
    change_set = stage(
        Card,
        (cards[0], "title", "t", "u"),
        (cards[0], "pack_id", "p", "q"),
        (cards[1], "title", "t", "u"),
        (cards[2], "title", "t", "u"),
    )
    Card.objects.filter(pk=cards[0].pk).update(pack_id="theirs")
    Card.objects.filter(pk=cards[1].pk).update(title="u")
    Card.objects.filter(pk=cards[2].pk).delete()
    reader = read_change_set(change_set)
    assert show(reader.page(9)) == {
        "c1": {
            "title": ('"t"', '"t"', '"u"', "writable"),
            "pack_id": ('"p"', '"theirs"', '"q"', "conflict"),
        },
        "c2": {"title": ('"t"', '"u"', '"u"', "done")},
        str(cards[2].pk): {"title": ('"t"', None, '"u"', "conflict")},
    }
    counts = reader.count()
    assert (counts.writable, counts.conflicts, counts.done, counts.rows) == (1, 2, 1, 1)
    overwriting = read_change_set(change_set, overwrite=True).count()
    assert (overwriting.writable, overwriting.conflicts, overwriting.done) == (2, 1, 1)


def test_a_preview_keeps_the_digits_of_numbers() -> None:
    card = make_card(metadata={"x": 1})
    change_set = stage(Card, (card, "metadata", '{"x": 1}', '{"x": 0.12345678901234567890123}'))
    [row] = read_change_set(change_set).page(1).rows
    assert row.cells[0].wanted == '{"x": 0.12345678901234567890123}'


@pytest.mark.parametrize("state", [None, CellState.CONFLICT])
def test_a_preview_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch, state: CellState | None) -> None:
    monkeypatch.setattr(cell_states, "_CHUNK_SIZE", 2)
    cards = [make_card(number) for number in range(7)]
    change_set = stage(Card, *((card, "title", "t", "u") for card in cards))
    Card.objects.exclude(card_id="c3").update(title="theirs")
    reader, names, cursor = read_change_set(change_set), [], ""
    while True:
        page = reader.page(2, cursor, state=state)
        names += [row.name for row in page.rows]
        if not (cursor := page.cursor):
            break
    assert sorted(names) == [f"c{number}" for number in range(7) if not (state and number == 3)]


def test_what_a_run_left_are_its_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_states, "_CHUNK_SIZE", 1)
    cards = [make_card(number) for number in (1, 2, 3)]
    change_set = stage(
        Card,
        (cards[0], "title", "t", "u"),
        (cards[0], "pack_id", "p", "q"),
        (cards[1], "title", "t", "u"),
        (cards[2], "title", "t", "u"),
    )
    Card.objects.filter(pk=cards[0].pk).update(title="theirs")
    Card.objects.filter(pk=cards[1].pk).update(title="u")
    run = apply(change_set)
    Card.objects.filter(pk=cards[2].pk).update(title="later")
    operation: Any = rebuild_operation(run)
    reader = CellReader(operation, run)
    assert show(reader.page(9)) == {"c1": {"title": ('"t"', '"theirs"', '"u"', "conflict")}}
    assert reader.count_rows() == 1
    assert list_runs(change_set) == [run]


def test_what_a_revert_by_cell_left_are_its_conflicts() -> None:
    card = make_card()
    run = apply(stage(Card, (card, "title", "t", "u"), (card, "rarity", "common", "rare")))
    Card.objects.update(title="theirs")
    reverted = revert(run)
    operation: Any = rebuild_operation(reverted)
    reader = CellReader(operation, reverted)
    assert show(reader.page(9)) == {"c1": {"title": ('"u"', '"theirs"', '"t"', "conflict")}}
    assert reader.count_rows() == 1
