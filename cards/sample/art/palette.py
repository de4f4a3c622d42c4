"""The colours of a scene at one hour of the day."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mood:
    """Sky from top to bottom, the sun or moon, then the land from far to near, leaves and an accent."""

    high: str
    low: str
    sun: str
    far: str
    mid: str
    near: str
    front: str
    leaf: str
    accent: str
    rays: bool = False


PARAMO = Mood(
    "#8fb4bd", "#e9e2c8", "#fbf3d9", "#a9bdb9", "#7f9a92", "#8a8a57", "#4a5238", "#a9b18a", "#e8b93a"
)
PARAMO_DUSK = Mood(
    "#34506b", "#f0b98a", "#fbe3b4", "#8a8593", "#5d6679", "#5a5f4b", "#2c3533", "#97a284", "#f0b429"
)
MIST = Mood("#a9c6bd", "#edf0de", "#fdf8e4", "#bcd3c6", "#8fb5a4", "#4f8573", "#1f4a43", "#3c7a5c", "#d9583b")
MIST_GOLD = Mood(
    "#d9c48a", "#f7edcd", "#fffae6", "#cbc79b", "#97a983", "#5c7d63", "#24453d", "#4d7f56", "#c8452f"
)
MIST_BLUE = Mood(
    "#5f8fa3", "#d5e6dd", "#f6f2d8", "#9dbfbf", "#6a9a9b", "#38696c", "#16393f", "#2f6c5f", "#e98a3a"
)
JUNGLE = Mood(
    "#f0d58c", "#f8efc9", "#f7b44c", "#b9c78a", "#6fa070", "#2f7358", "#123f38", "#2c7d51", "#e2512f"
)
JUNGLE_TEAL = Mood(
    "#4f9a94", "#cfe6cf", "#f8edc0", "#86bba8", "#4b9583", "#1f6a60", "#0d3a3b", "#227558", "#f08a3c"
)
JUNGLE_DUSK = Mood(
    "#c95f4a", "#f6c67f", "#fbe6a8", "#b06a5a", "#75525a", "#35474f", "#14282f", "#2b5a4c", "#f3a63b"
)
NIGHT = Mood(
    "#14213f", "#3d5a80", "#f3e7c0", "#34507a", "#26406a", "#182d52", "#0b1730", "#1f4757", "#e3b35a"
)
LLANOS = Mood(
    "#f08a55", "#fbdca0", "#fdf0c4", "#c98d6a", "#a3b57c", "#6d8f62", "#2f5247", "#5c8a4f", "#d7403a"
)
LLANOS_BLUE = Mood(
    "#7fb8c4", "#eef0d2", "#fdf6d8", "#a9c7b2", "#86b088", "#5c8f63", "#2a5547", "#5b9457", "#e78fb0"
)
LLANOS_DUSK = Mood(
    "#355c7d", "#f3b48b", "#fde3b0", "#6f7d8c", "#5e8078", "#3f6659", "#1d3f3d", "#477a53", "#f28f6b"
)
COAST = Mood(
    "#6fc0c4", "#f6ecc9", "#fdf3cf", "#7fb2b8", "#3f97a3", "#e6cf9a", "#2d6b5b", "#3f8a5f", "#ef6f4d"
)
GARDEN = Mood(
    "#bfe0da", "#f8f1d4", "#fbdc7e", "#c3d6b4", "#9cc08c", "#6fa36a", "#2f6b4d", "#4f9457", "#e2574c"
)
GARDEN_WARM = Mood(
    "#f6cf93", "#fbeed0", "#fff7dc", "#d9c48f", "#a8b678", "#76985f", "#35603f", "#5b9150", "#d9472f"
)
GARDEN_ROSE = Mood(
    "#efb4a4", "#fbe8d2", "#fff6e2", "#cdb5a0", "#98ab86", "#66906a", "#2d5a4b", "#4c8a5c", "#f2b03d"
)
CITY = Mood("#a9c9d6", "#f5ead2", "#fbe7b0", "#9fb3bb", "#7d9a8c", "#5e8a62", "#2b5244", "#4f8a54", "#d65a43")
COFFEE = Mood(
    "#8cc3b4", "#f7efcf", "#fce39a", "#a8cbb0", "#7fb285", "#4f9161", "#1f5a45", "#2f7d4d", "#cf3b2c"
)
COFFEE_WARM = Mood(
    "#f1b968", "#fbeac0", "#fff5d4", "#c9bd82", "#93ab6f", "#5b8b5a", "#22513f", "#3a7a48", "#c93a2c"
)
CAVE = Mood("#22406a", "#7fa3b5", "#f5ead0", "#3b4762", "#2c3550", "#1e2540", "#10152a", "#24384a", "#7fa8a0")
