"""Each step of a column change killed, or its PostgreSQL stopped, at random instants, and taken again."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kyndo.localservices.postgres import LocalPostgres
from ops.column_changes.steps import MIGRATION_STEPS, Step
from tests.chaos.conftest import Dose
from tests.chaos.disturbed import DisturbedShop
from tests.debian import DebianPostgres, require_debian_postgres
from tests.ops import shop as commands
from tests.ops.shop import shop

pytestmark = pytest.mark.long

ROWS = "INSERT INTO shop_item (owner, rarity) SELECT 'me', 'rarity ' || n % 7 FROM generate_series(1, 2000) n"
PLAN, NEXT, BACK = (tuple(each.split()) for each in (commands.PLAN, commands.NEXT, commands.BACK))
KINDS = ["kill", "fast", "immediate"]
# A stopped server keeps what was committed. What else makes it durable is for a crash of the machine.
SETTINGS = {"synchronous_commit": "on"}


@pytest.fixture(params=["15", "default"])
def server(request: pytest.FixtureRequest, tmp_path: Path, dose: Dose, swap: bool) -> Iterator[LocalPostgres]:
    """A server of the test's own: Debian's PostgreSQL 15, or one of the suite's version."""
    if (swap or request.param == "15") and not dose.is_large:
        pytest.skip("a change that `make chaos` tries")
    if request.param == "15":
        require_debian_postgres()
        server: LocalPostgres = DebianPostgres(tmp_path / "server", SETTINGS)
    else:
        version = request.config.getoption("--pg")
        server = LocalPostgres(tmp_path / "server", version, durable=False, settings=SETTINGS)
    server.start()
    yield server
    server.remove()


class Journey:
    """The way through all steps and back, on which some of the commands are disturbed."""

    def __init__(self, disturbed: DisturbedShop, dose: Dose) -> None:
        self.disturbed = disturbed
        self.kinds = ["kill"] * dose.kills_of_steps + ["fast", "immediate"] * 2 if dose.is_large else []
        self.few = dict(zip(random.sample(range(14), len(KINDS)), KINDS, strict=True))
        self.taken = 0

    def take(self, generation: str, words: tuple[str, ...], step: Step | None = None) -> None:
        """Take a step with its command; ``step`` is given where a migration takes it."""
        few = [self.few[self.taken]] if self.taken in self.few else []
        self.taken += 1
        self.disturbed.take_disturbed(generation, words, self.kinds or few)
        self.disturbed.run(generation, "makemigrations", "--check", "--dry-run")
        if step in MIGRATION_STEPS:
            self.disturbed.run(generation, "schema_drift")

    def go(self, steps: list[Step]) -> None:
        """Go to the last step before retire and back, there again, and to the end."""
        self.take("both", PLAN)
        for step in steps:
            self.take("both", NEXT, step)
        for step in reversed(steps):
            self.take("both", BACK, step)
        for _ in steps:
            self.disturbed.run("both", *NEXT)
        self.take("new", NEXT)  # writes the migration of retire
        self.take("new", NEXT, Step.RETIRE)
        self.take("new", BACK, Step.RETIRE)
        self.disturbed.run("new", *NEXT)
        self.take("new", NEXT)  # writes the migration of drop
        self.disturbed.add_backup()
        self.take("new", NEXT, Step.DROP)


@pytest.mark.parametrize("swap", [False, True], ids=["renamed", "swapped"])
def test_each_step_ends_the_same_however_it_is_disturbed(
    tmp_path: Path, server: LocalPostgres, dose: Dose, swap: bool
) -> None:
    with shop(tmp_path, swap=swap, server=server.url) as project, ExitStack() as last:
        project.execute(ROWS)
        disturbed = DisturbedShop(project, server, tmp_path)
        last.callback(disturbed.forget)
        last.callback(disturbed.stop)
        steps = [Step.EXPAND, Step.BACKFILL, Step.VERIFY, Step.CONSTRAIN, Step.SWITCH]
        Journey(disturbed, dose).go([step for step in steps if not (swap and step == Step.SWITCH)])
