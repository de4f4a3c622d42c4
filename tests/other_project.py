"""Another Django project than KYNDO that has `ops` for an app, in a folder of its own."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    return {**env, "PYTHONPATH": f"{project}{os.pathsep}{ROOT}"}


def run_python(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the project."""
    return subprocess.run(capture_output=True, check=False, **_process(project, words))


def python_process(project: Path, *words: str) -> "subprocess.Popen[str]":
    """Start Python in the project, with pipes for its output."""
    return subprocess.Popen(stdout=subprocess.PIPE, stderr=subprocess.PIPE, **_process(project, words))


def _process(project: Path, words: tuple[str, ...]) -> dict[str, Any]:
    return {
        "args": [sys.executable, *words],
        "cwd": project,
        "env": project_environment(project),
        "text": True,
    }
