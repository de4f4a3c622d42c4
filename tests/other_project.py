"""Another Django project than KYNDO that has `ops` for an app, in a folder of its own."""

import os
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.forked_python import PipedPython, run_python, start_python
from tests.manage import ROOT

_MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
_SETTINGS = """
SECRET_KEY = "shop"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pgtrigger", "ops", "shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{database}}}}}
"""


def write_project(root: Path, database: Mapping[str, object], files: Mapping[str, str]) -> Path:
    """Write the project with the app `shop`; ``files`` are the app's, by their path in the project."""
    project = {
        "manage.py": _MANAGE,
        "settings.py": _SETTINGS.format(database=dict(database)),
        "shop/__init__.py": "",
        **files,
    }
    for name, text in project.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    return root


def project_environment(project: Path) -> dict[str, str]:
    """Return the environment that a shell in the project would give its commands."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
    # A test may change a module twice within a second, which a file of bytecode does not notice.
    return {**env, "PYTHONPATH": f"{project}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "yes"}


def run_in_project(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the project."""
    return run_python(words, project, project_environment(project))


def start_in_project(project: Path, *words: str) -> PipedPython:
    """Start Python in the project, with pipes for its input and output."""
    return start_python(words, project, project_environment(project))
