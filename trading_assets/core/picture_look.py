"""How the pictures of a strategy's record look, and how they become bytes.

The same inputs give the same bytes: nothing is taken from matplotlib's global settings,
which mplfinance rewrites as it goes, nor from the clock or the time zone.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b2430", "#66707d", "#e6e9ed", "#ffffff"
DPI = 100

# Lists of former names and of backends; setting them would warn or load a window system.
UNSETTABLE = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})
LOOK: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.bottom": False,
    "ytick.left": False,
    "timezone": "UTC",
}


def settings() -> dict[Any, Any]:
    """All of matplotlib's settings: its defaults, and `LOOK`."""
    plain = {k: v for k, v in mpl.rcParamsDefault.items() if k not in UNSETTABLE}
    return {**plain, **LOOK}


def png_of(figure: Figure) -> bytes:
    """*figure* as a PNG that says nothing of who made it."""
    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
