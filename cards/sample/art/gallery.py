"""The gallery: which bird stands where, on what, and at which hour."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cards.sample.art import palette, perches
from cards.sample.art.birds import (
    crested,
    forest,
    hummingbirds,
    night,
    parrots,
    raptors,
    soaring,
    songbirds,
    toucans,
    waders,
    waterbirds,
)
from cards.sample.art.palette import Mood
from cards.sample.art.pen import Pen


@dataclass(frozen=True)
class Portrait:
    """One illustration. The feet of the bird (its heart, in flight) stand at (x, y)."""

    scene: str
    mood: Mood
    bird: Callable[[Pen], None]
    perch: Callable[[Pen, Mood], None]
    x: float = 300
    y: float = 570
    size: float = 1.2
    turn: float = 0
    flip: bool = False


def blossom(mood: Mood, accent: str, sun: str | None = None) -> Mood:
    """Return the mood with flowers (and a sun) of other colours, so that the bird stands out."""
    return replace(mood, accent=accent, sun=sun or mood.sun)


PORTRAITS = {
    "condor-de-los-andes": Portrait(
        "peaks", replace(palette.PARAMO_DUSK, rays=True), soaring.condor, perches.air, 308, 340, 0.67, -24
    ),
    "aguila-arpia": Portrait(
        "rainforest", replace(palette.JUNGLE_DUSK, rays=True), raptors.harpy, perches.mossy, 300, 610, 0.98
    ),
    "paujil-de-pico-azul": Portrait(
        "rainforest", replace(palette.JUNGLE, rays=True), crested.curassow, perches.bank, 290, 640, 1.12
    ),
    "gallito-de-roca-andino": Portrait(
        "cloud forest",
        replace(palette.MIST_BLUE, rays=True),
        crested.cock_of_the_rock,
        perches.mossy,
        285,
        570,
        1.25,
        0,
        True,
    ),
    "loro-orejiamarillo": Portrait(
        "coffee hills", palette.COFFEE_WARM, parrots.yellow_eared, perches.palm, 300, 520, 1.12
    ),
    "aguila-crestada": Portrait(
        "cloud forest", palette.MIST_GOLD, raptors.crested_eagle, perches.mossy, 310, 590, 1.12, 0, True
    ),
    "barbudito-de-los-nevados": Portrait(
        "páramo", palette.PARAMO, hummingbirds.helmetcrest, perches.stalk, 270, 490, 1.3
    ),
    "tangara-multicolor": Portrait(
        "cloud forest", blossom(palette.MIST, "#c9457a"), songbirds.MULTICOLOR, perches.mossy, 305, 560, 1.3
    ),
    "guacamaya-verdelimon": Portrait(
        "rainforest", palette.JUNGLE_DUSK, parrots.green_macaw, perches.bough, 320, 480, 1.08, 0, True
    ),
    "colibri-de-santa-marta": Portrait(
        "cloud forest",
        blossom(palette.MIST_GOLD, "#d9436b"),
        hummingbirds.santa_marta,
        perches.bells,
        280,
        440,
        1.3,
    ),
    "quetzal-cabecidorado": Portrait(
        "cloud forest", palette.MIST, forest.quetzal, perches.mossy, 310, 480, 1.1
    ),
    "hoacin": Portrait("wetland", palette.JUNGLE_TEAL, crested.hoatzin, perches.bough, 320, 560, 1.08),
    "corocora-roja": Portrait(
        "wetland", palette.LLANOS_BLUE, waders.scarlet_ibis, perches.shallows, 285, 650, 1.16
    ),
    "guacharo": Portrait("cave", palette.CAVE, soaring.oilbird, perches.air, 300, 420, 0.76, -10),
    "terlaque-andino": Portrait(
        "cloud forest", palette.MIST_GOLD, toucans.mountain_toucan, perches.mossy, 350, 560, 1.18, 0, True
    ),
    "guacamaya-macao": Portrait(
        "rainforest", palette.JUNGLE_TEAL, soaring.scarlet_macaw, perches.air, 300, 330, 0.77, 24
    ),
    "buho-de-anteojos": Portrait("night", palette.NIGHT, night.spectacled_owl, perches.bough, 300, 590, 1.12),
    "colibri-pico-espada": Portrait(
        "cloud forest",
        blossom(palette.MIST_BLUE, "#f08a72"),
        hummingbirds.sword_billed,
        perches.trumpets,
        252,
        480,
        1.02,
        -12,
    ),
    "flamenco-rosado": Portrait(
        "lagoon",
        blossom(palette.COAST, "#ef6f4d", "#fdf3cf"),
        waders.flamingo,
        perches.shallows,
        305,
        640,
        1.12,
    ),
    "rey-de-los-gallinazos": Portrait(
        "rainforest", palette.JUNGLE_TEAL, raptors.king_vulture, perches.rock, 310, 580, 1.12
    ),
    "chavarria": Portrait("wetland", palette.LLANOS, waders.screamer, perches.bank, 300, 640, 1.15, 0, True),
    "tucan-silbador": Portrait(
        "rainforest", palette.JUNGLE, toucans.white_throated, perches.fruit, 245, 560, 1.22
    ),
    "azulejo-comun": Portrait(
        "garden", palette.GARDEN_WARM, songbirds.AZULEJO, perches.fruit, 300, 560, 1.28
    ),
    "copeton": Portrait("city", palette.CITY, songbirds.COPETON, perches.twig, 300, 570, 1.25, 0, True),
    "mirla-patinaranja": Portrait(
        "city", blossom(palette.GARDEN_ROSE, "#f2b03d"), songbirds.MIRLA, perches.bough, 305, 560, 1.28, 6
    ),
    "bichofue": Portrait("garden", palette.GARDEN, songbirds.BICHOFUE, perches.post, 290, 560, 1.25, -6),
    "titiribi-pechirrojo": Portrait(
        "garden",
        blossom(palette.GARDEN_WARM, "#fff0c9"),
        songbirds.TITIRIBI,
        perches.twig,
        300,
        560,
        1.25,
        6,
        True,
    ),
    "garza-real": Portrait(
        "wetland",
        blossom(palette.LLANOS_DUSK, "#f7a8b8", "#f2a65e"),
        waders.egret,
        perches.shallows,
        285,
        650,
        1.15,
    ),
    "gallito-de-cienaga": Portrait(
        "wetland", palette.LLANOS_BLUE, waders.jacana, perches.lilies, 305, 620, 1.25, 0, True
    ),
    "martin-pescador-mayor": Portrait(
        "wetland", palette.LLANOS, forest.kingfisher, perches.bough, 280, 560, 1.2
    ),
    "carpintero-real": Portrait(
        "garden", palette.GARDEN_ROSE, crested.woodpecker, perches.trunk, 245, 600, 1.15
    ),
    "carriqui-de-montana": Portrait(
        "coffee hills", palette.COFFEE, forest.green_jay, perches.fruit, 305, 540, 1.2, 6
    ),
    "periquito-de-anteojos": Portrait(
        "garden", palette.GARDEN_ROSE, parrots.parrotlets, perches.bough, 290, 570, 1.12
    ),
    "pisingo": Portrait(
        "wetland", palette.LLANOS_DUSK, waterbirds.whistling_duck, perches.bank, 310, 640, 1.22, 0, True
    ),
    "asoma-terciopelo": Portrait(
        "garden", blossom(palette.GARDEN, "#f2a13d"), songbirds.ASOMA, perches.fruit, 300, 560, 1.28, 8, True
    ),
    "colibri-chillon": Portrait(
        "garden", palette.GARDEN_ROSE, hummingbirds.violetear, perches.twig, 270, 530, 1.5
    ),
    "barranquero-andino": Portrait(
        "coffee hills", palette.COFFEE_WARM, forest.motmot, perches.bough, 300, 440, 1.04, 9, True
    ),
    "pelicano-pardo": Portrait("coast", palette.COAST, waterbirds.pelican, perches.piles, 290, 600, 1.05),
    "gavilan-caminero": Portrait(
        "coffee hills", palette.COFFEE, raptors.roadside_hawk, perches.post, 300, 570, 1.12, 0, True
    ),
    "bienparado-comun": Portrait("night", palette.NIGHT, night.potoo, perches.stump, 290, 560, 1.02),
}
