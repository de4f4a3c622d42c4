"""The amounts: small in the suite, large with ``--chaos`` (``make chaos``)."""

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Dose:
    cards: int
    pictures: int
    kills: int
    restarts: int
    attacks: int
    restores: int
    kills_of_steps: int
    is_large: bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="large amounts, which take minutes")


@pytest.fixture
def dose(request: pytest.FixtureRequest) -> Dose:
    if request.config.getoption("--chaos", default=False):
        return Dose(
            cards=100_000,
            pictures=500,
            kills=70,
            restarts=20,
            attacks=70,
            restores=20,
            kills_of_steps=20,
            is_large=True,
        )
    return Dose(
        cards=1_000, pictures=20, kills=1, restarts=1, attacks=7, restores=1, kills_of_steps=1, is_large=False
    )
