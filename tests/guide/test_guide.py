"""Type every command of the operator's guide, in order, and compare its output with the guide's.

``pytest tests/guide --record`` writes the outputs that differ into the guide instead.
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
from tests.guide.likeness import comparable_lines, is_alike
from tests.guide.reader import (
    GUIDE,
    RUNBOOK,
    Step,
    iter_steps,
    list_chapters,
    list_steps_with_setup,
    replace_outputs,
)
from tests.guide.world import World, create_world

pytestmark = pytest.mark.long


def test_the_outputs_of_the_guide(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with create_world(tmp_path, LocalPostgres(tmp_path / "servers", durable=False)) as world:
        world.load_old_cards()
        world.start_site()
        outputs = execute_chapters(world, "")
    compare(outputs, pytestconfig.getoption("record"))


def test_the_outputs_of_the_guide_with_pg_stat_statements(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    require_debian_postgres()
    settings = {"shared_preload_libraries": "pg_stat_statements"}
    with create_world(tmp_path, DebianPostgres(tmp_path / "servers", settings)) as world:
        world.run_or_fail("manage.py migrate && manage.py load_rules --execute")
        world.run_or_fail("manage.py generate_cards 2000 && manage.py backup_db --verify")
        outputs = execute_chapters(world, "debian")
    compare(outputs, pytestconfig.getoption("record"))


def test_the_outputs_of_the_runbook(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with create_world(tmp_path, LocalPostgres(tmp_path / "servers", durable=False)) as world:
        world.run_or_fail("manage.py migrate && manage.py load_rules --execute")
        world.run_or_fail("manage.py generate_cards 300 --pack birds && manage.py backup_db --verify")
        outputs = execute(world, list_steps_with_setup(GUIDE / RUNBOOK))
    compare(outputs, pytestconfig.getoption("record"))


def test_without_curl_only_its_steps_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [step for chapter in list_chapters() for step in iter_steps(chapter)]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.warns(
        UserWarning, match=r"these steps were skipped \(apt-get install curl\): 3-bulk\.md:\d+, 9-"
    ):
        kept = without_curl_if_missing(steps)
    assert {step.content.split()[0] for step in steps if step not in kept} == {"curl"}
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match=r"\.ci/run installs it"):
        without_curl_if_missing(steps)


def execute_chapters(world: World, detail: str) -> dict[Step, str]:
    """Return the output of each step; a patch that does not apply raises."""
    steps = [step for chapter in list_chapters() for step in list_steps_with_setup(chapter)]
    steps = [step for step in steps if (step.detail == "debian") == (detail == "debian")]
    assert steps
    return execute(world, without_curl_if_missing(steps))


def execute(world: World, steps: list[Step]) -> dict[Step, str]:
    """Execute the steps; return the outputs of the commands that readers see."""
    outputs = {step: world.execute(step) for step in steps}
    return {step: output for step, output in outputs.items() if step.kind == "console"}


def without_curl_if_missing(steps: list[Step]) -> list[Step]:
    """Leave out the steps that call curl where it is missing, with a warning; in CI that is an error."""
    with_curl = [step for step in steps if step.content.startswith("curl ")]
    if not with_curl or shutil.which("curl"):
        return steps
    assert not os.environ.get("CI"), "curl is missing: .ci/run installs it"
    places = ", ".join(step.place for step in with_curl)
    warnings.warn(f"No curl, so these steps were skipped (apt-get install curl): {places}", stacklevel=2)
    return [step for step in steps if step not in with_curl]


def compare(outputs: dict[Step, str], record: bool) -> None:
    """Fail if an output differs from the guide's; with ``record``, write it into the guide instead."""
    changed = {step: output for step, output in outputs.items() if not is_alike(step.output, output)}
    if not record:
        assert not changed, "\n".join(line for step, output in changed.items() for line in diff(step, output))
    for chapter in {step.file for step in changed}:
        of_chapter = {step: output for step, output in changed.items() if step.file == chapter}
        chapter.write_text(replace_outputs(chapter, of_chapter))


def diff(step: Step, output: str) -> Iterator[str]:
    recorded, actual = comparable_lines(step.output), comparable_lines(output)
    yield f"\n{step.place}: $ {step.content}"
    yield from unified_diff(recorded, actual, "the guide", "the command", lineterm="")
