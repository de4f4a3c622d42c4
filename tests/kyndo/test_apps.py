"""What is loaded when: a command does not wait for the pages of the admin."""

import subprocess
import sys

from django.core.checks import Tags, run_checks

_SETUP = "import django, sys; django.setup(); "


def run_python(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _SETUP + script], capture_output=True, text=True, check=True
    ).stdout


def test_commands_load_no_page_of_the_admin() -> None:
    script = "print([name for name in sys.modules if '.admin.' in name and not name.startswith('django.')])"
    assert run_python(script).strip() == "[]"


def test_the_system_check_looks_at_every_page_of_the_admin() -> None:
    script = (
        "from django.core.checks import run_checks; run_checks(tags=['admin']);"
        "from django.contrib import admin; print(len(admin.site._registry))"
    )
    assert int(run_python(script)) > 5


def test_the_admin_has_no_errors() -> None:
    assert run_checks(tags=[Tags.admin]) == []
