"""The project's settings, with the app whose tables and operations only tests know."""

from kyndo.settings import *  # noqa: F403
from kyndo.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.trials"]
