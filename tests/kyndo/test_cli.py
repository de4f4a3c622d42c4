"""What a command tells to type next can be pasted into the shell that it was typed in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from ops.command_lines import manage_command as typed
from tests.conftest import ROOT, Manage


def shell(line: str, cwd: Path, manage: Manage) -> "subprocess.CompletedProcess[str]":
    """Typed in ``cwd`` by somebody whose environment says nothing of how commands are typed."""
    env = {**os.environ, "DATABASE_URL": manage.database_url, "MANAGE_COMMAND": ""}
    return subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def relative(path: str | Path, cwd: Path) -> str:
    return os.path.relpath(path, cwd)


@pytest.fixture(params=["the checkout", "a folder of it", "elsewhere"])
def cwd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return {"the checkout": ROOT, "a folder of it": ROOT / "docs", "elsewhere": tmp_path}[request.param]


@pytest.mark.parametrize("relatively", [True, False], ids=["relative", "absolute"])
def test_what_is_told_can_be_pasted_where_it_was_read(manage: Manage, cwd: Path, relatively: bool) -> None:
    python, program = sys.executable, ROOT / "manage.py"
    words = [relative(python, cwd), relative(program, cwd)] if relatively else [python, program]
    told = shell(f"'{words[0]}' '{words[1]}' runs resume 4242", cwd, manage)
    assert (told.returncode, told.stdout) == (2, "")
    pasted = told.stderr.strip().rpartition("To list the runs: ")[2]
    assert pasted.endswith(" runs")
    assert relatively == (str(ROOT) not in pasted) or cwd == ROOT
    done = shell(pasted, cwd, manage)
    assert done.returncode == 0
    assert done.stdout.startswith("No run yet.")


def test_in_the_checkout_it_is_short_however_the_process_was_started(manage: Manage) -> None:
    tell = 'import django; django.setup(); from ops.command_lines import manage; print(manage("runs"))'
    told = shell(f"DJANGO_SETTINGS_MODULE=kyndo.settings '{sys.executable}' -c '{tell}'", ROOT, manage)
    assert (told.returncode, told.stderr) == (0, "")
    assert shell(told.stdout, ROOT, manage).stdout.startswith("No run yet.")
    assert "/manage.py" not in told.stdout


def test_who_is_told_otherwise_in_the_environment_says_it_so(manage: Manage) -> None:
    done = manage("runs", "resume", 4242, env={"MANAGE_COMMAND": "docker compose exec web python manage.py"})
    assert done.stderr.endswith("To list the runs: docker compose exec web python manage.py runs\n")


def test_words_that_a_shell_would_take_apart_are_quoted(settings: "Settings") -> None:
    settings.OPS_MANAGE = "python manage.py"
    assert typed("restore_db", "a b.dump", "--confirm", 'it\'s "x"') == (
        "python manage.py restore_db 'a b.dump' --confirm 'it'\"'\"'s \"x\"'"
    )


def test_what_is_told_to_install_is_for_the_python_that_tells_it(manage: Manage) -> None:
    told = shell("S3_BUCKET=x " + f"'{sys.executable}' manage.py check", ROOT, manage)
    typed = told.stderr.strip().rpartition("not installed: ")[2]
    assert typed.endswith(" -m pip install 'django-storages[s3]'")
    python = typed.removesuffix(" -m pip install 'django-storages[s3]'")
    done = shell(f"{python} -c 'import sys; print(sys.executable)'", ROOT, manage)
    assert Path(done.stdout.strip()).samefile(sys.executable)
