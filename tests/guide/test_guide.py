"""Every command of the operator's guide is typed, in order, and says what the guide says that it says.

``pytest tests/guide --record`` writes what differs into the guide instead.
"""

import os
import shutil
import warnings
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest

from kyndo.localservices.postgres import LocalPostgres
from tests.debian import DebianPostgres, require_debian_postgres
from tests.guide.likeness import alike, lines
from tests.guide.reader import GUIDE, RUNBOOK, Step, chapters, steps, with_troubles, written
from tests.guide.world import World, world

pytestmark = pytest.mark.long


def test_every_command_of_the_guide_says_what_the_guide_says(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    with world(tmp_path, LocalPostgres(tmp_path / "servers", durable=False)) as here:
        here.as_the_guide_finds_it()
        here.open()
        told = gone_through(here, "")
    settle(told, pytestconfig.getoption("record"))


def test_what_needs_pg_stat_statements_says_so_too(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    require_debian_postgres()
    settings = {"shared_preload_libraries": "pg_stat_statements"}
    with world(tmp_path, DebianPostgres(tmp_path / "servers", settings)) as here:
        here.must("manage.py migrate && manage.py load_rules --execute && manage.py generate_cards 2000")
        here.must("manage.py backup_db --verify")
        told = gone_through(here, "debian")
    settle(told, pytestconfig.getoption("record"))


def test_every_command_of_the_runbook_says_what_the_runbook_says(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    with world(tmp_path, LocalPostgres(tmp_path / "servers", durable=False)) as here:
        here.must("manage.py migrate && manage.py load_rules --execute")
        here.must("manage.py generate_cards 300 --pack birds && manage.py backup_db --verify")
        told = {step: here.do(step) for step in with_troubles(GUIDE / RUNBOOK)}
    typed = {step: text for step, text in told.items() if step.kind == "console"}
    settle(typed, pytestconfig.getoption("record"))


def test_without_curl_only_what_is_typed_with_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [step for chapter in chapters() for step in steps(chapter)]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.warns(
        UserWarning, match=r"these were not typed \(apt-get install curl\): 3-bulk\.md:\d+, 9-"
    ):
        left = typable(wanted)
    assert {step.typed.split()[0] for step in wanted if step not in left} == {"curl"}
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match=r"\.ci/run installs it"):
        typable(wanted)


def gone_through(here: World, detail: str) -> dict[Step, str]:
    """What each step told; a change of the code that cannot be made ends it."""
    wanted = [step for chapter in chapters() for step in steps(chapter)]
    wanted = [step for step in wanted if (step.detail == "debian") == (detail == "debian")]
    assert wanted
    return {step: here.do(step) for step in typable(wanted)}


def typable(wanted: list[Step]) -> list[Step]:
    """Without what is typed with curl where there is none; never in CI, whose script installs it."""
    with_curl = [step for step in wanted if step.typed.startswith("curl ")]
    if not with_curl or shutil.which("curl"):
        return wanted
    assert not os.environ.get("CI"), "curl is missing: .ci/run installs it"
    places = ", ".join(step.place for step in with_curl)
    warnings.warn(f"No curl, so these were not typed (apt-get install curl): {places}", stacklevel=2)
    return [step for step in wanted if step not in with_curl]


def settle(told: dict[Step, str], record: bool) -> None:
    other = {step: text for step, text in told.items() if not alike(step.told, text)}
    if not record:
        assert not other, "\n".join(line for step, text in other.items() for line in difference(step, text))
    for chapter in {step.file for step in other}:
        mine = {step: text for step, text in other.items() if step.file == chapter}
        chapter.write_text(written(chapter, mine))


def difference(step: Step, text: str) -> Iterator[str]:
    yield f"\n{step.place}: $ {step.typed}"
    yield from unified_diff(lines(step.told), lines(text), "the guide", "the command", lineterm="")
