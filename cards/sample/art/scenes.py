"""The scenes by name: each has a back, drawn before the bird, and a front, drawn after it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cards.sample.art import highlands, lowlands
from cards.sample.art.palette import Mood
from cards.sample.art.pen import Pen

Layer = Callable[[Pen, Mood, Random], None]


@dataclass(frozen=True)
class Scene:
    """What lies behind the bird, and what stands before it."""

    back: Layer
    front: Layer


SCENES = {
    "páramo": Scene(highlands.paramo_back, highlands.paramo_front),
    "peaks": Scene(highlands.high_back, highlands.high_front),
    "cloud forest": Scene(highlands.cloud_forest_back, highlands.cloud_forest_front),
    "rainforest": Scene(lowlands.rainforest_back, lowlands.rainforest_front),
    "wetland": Scene(lowlands.wetland_back, lowlands.wetland_front),
    "coast": Scene(lowlands.coast_back, lowlands.coast_front),
    "lagoon": Scene(lowlands.lagoon_back, lowlands.lagoon_front),
    "garden": Scene(lowlands.garden_back, lowlands.garden_front),
    "city": Scene(lowlands.city_back, lowlands.garden_front),
    "coffee hills": Scene(highlands.coffee_back, highlands.coffee_front),
    "night": Scene(lowlands.night_back, lowlands.night_front),
    "cave": Scene(highlands.cave_back, highlands.cave_front),
}
