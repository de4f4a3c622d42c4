"""Commands in messages can be pasted into the shell that shows them."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from ops.command_lines import manage_command
from tests.conftest import ROOT, Manage


def shell(line: str, cwd: Path, manage: Manage) -> "subprocess.CompletedProcess[str]":
    """Run a line in ``cwd`` with an environment that does not set MANAGE_COMMAND."""
    env = {**os.environ, "DATABASE_URL": manage.database_url, "MANAGE_COMMAND": ""}
    return subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def relative(path: str | Path, cwd: Path) -> str:
    return os.path.relpath(path, cwd)


@pytest.fixture(params=["the checkout", "a folder of it", "elsewhere"])
def cwd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return {"the checkout": ROOT, "a folder of it": ROOT / "docs", "elsewhere": tmp_path}[request.param]


@pytest.mark.parametrize("relatively", [True, False], ids=["relative", "absolute"])
def test_a_suggested_command_works_where_it_was_shown(manage: Manage, cwd: Path, relatively: bool) -> None:
    python, program = sys.executable, ROOT / "manage.py"
    command = [relative(python, cwd), relative(program, cwd)] if relatively else [python, program]
    done = shell(f"'{command[0]}' '{command[1]}' runs resume 4242", cwd, manage)
    assert (done.returncode, done.stdout) == (2, "")
    suggested = done.stderr.strip().rpartition("To list the runs: ")[2]
    assert suggested.endswith(" runs")
    is_absolute = any(word.startswith(str(ROOT)) for word in shlex.split(suggested))
    assert relatively != is_absolute or cwd == ROOT
    listed = shell(suggested, cwd, manage)
    assert listed.returncode == 0
    assert listed.stdout.startswith("There are no runs yet.")


def test_a_suggested_command_is_relative_inside_the_checkout(manage: Manage) -> None:
    script = (
        'import django; django.setup(); from ops.command_lines import manage_command as m; print(m("runs"))'
    )
    done = shell(f"DJANGO_SETTINGS_MODULE=kyndo.settings '{sys.executable}' -c '{script}'", ROOT, manage)
    assert (done.returncode, done.stderr) == (0, "")
    assert shell(done.stdout, ROOT, manage).stdout.startswith("There are no runs yet.")
    assert "/manage.py" not in done.stdout


def test_manage_command_of_the_environment_is_used_in_messages(manage: Manage) -> None:
    done = manage("runs", "resume", 4242, env={"MANAGE_COMMAND": "docker compose exec web python manage.py"})
    assert done.stderr.endswith("To list the runs: docker compose exec web python manage.py runs\n")


def test_arguments_are_quoted_for_a_shell(settings: "Settings") -> None:
    settings.OPS_MANAGE = "python manage.py"
    assert manage_command("restore_db", "a b.dump", "--confirm", 'it\'s "x"') == (
        "python manage.py restore_db 'a b.dump' --confirm 'it'\"'\"'s \"x\"'"
    )


def test_packages_are_installed_for_the_running_python(manage: Manage) -> None:
    done = shell("S3_BUCKET=x " + f"'{sys.executable}' manage.py check", ROOT, manage)
    install_command = done.stderr.strip().rpartition("not installed. Type: ")[2]
    assert install_command.endswith(" -m pip install 'django-storages[s3]'")
    python = install_command.removesuffix(" -m pip install 'django-storages[s3]'")
    printed = shell(f"{python} -c 'import sys; print(sys.executable)'", ROOT, manage).stdout
    assert Path(printed.strip()).samefile(sys.executable)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "kyndo shell"),
        ({"PGAPPNAME": "the shell's"}, "the shell's"),
        ({"PGAPPNAME": "the shell's", "parameter": "application_name=the%20URL's"}, "the URL's"),
    ],
    ids=["neither", "PGAPPNAME", "both"],
)
def test_a_session_is_called_by_its_command_unless_named(
    manage: Manage, env: dict[str, str], name: str
) -> None:
    url = f"{manage.database_url}?{env.pop('parameter', '')}"
    script = "from ops.sql.query import fetch_all; print(fetch_all('SHOW application_name')[0][0])"
    done = manage("shell", "--verbosity", "0", "--command", script, env={**env, "DATABASE_URL": url})
    assert (done.stdout, done.stderr) == (f"{name}\n", "")
