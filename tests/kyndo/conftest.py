import pytest


@pytest.fixture(autouse=True)
def _commands_run_under_the_real_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's own settings add applications of its own."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "kyndo.settings")
