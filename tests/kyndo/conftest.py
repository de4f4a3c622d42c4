import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.state import ServerState, read_state, write_state

CopyPostgres = Callable[[Path], None]


def are_gone(processes: Sequence[psutil.Process]) -> bool:
    """Return whether all processes have ended, also as zombies."""
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture(autouse=True)
def _commands_run_under_the_real_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the production settings: those of the suite add test applications."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "kyndo.settings")


@pytest.fixture(scope="session")
def copy_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopyPostgres]:
    """Return ``copy_postgres(root)``, which copies the data of a stopped PostgreSQL, to save initdb."""
    template = LocalPostgres(tmp_path_factory.mktemp("template"), durable=False)
    template.start()
    template.stop()
    state = read_state(template.state_file)
    assert state

    def copy_postgres(root: Path) -> None:
        server = LocalPostgres(root, durable=False)
        subprocess.run(["cp", "-a", template.data, server.base_dir], check=True)
        write_state(server.state_file, ServerState(0, state.password))

    yield copy_postgres
    template.remove()
