"""What it costs to load the code location, against importing Dagster and pandas alone.

``python -m benchmarks.load`` starts a fresh interpreter for each, in turn.
"""

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

ROUNDS = 7
TARGET = 1.5
ALONE = "import dagster, pandas"
OURS = "import trading_assets.definitions"


def seconds(statement: str, home: str) -> float:
    """Wall seconds of an interpreter that runs *statement* and ends."""
    environment = {**os.environ, "TRADING_HOME": home}
    started = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return perf_counter() - started


def main() -> None:
    """Print both and their ratio, pair by pair."""
    with TemporaryDirectory() as home:
        seconds(OURS, home)
        pairs = [(seconds(OURS, home), seconds(ALONE, home)) for _ in range(ROUNDS)]
    ours, alone = (median(pair[at] for pair in pairs) for at in (0, 1))
    ratio = median(one / other for one, other in pairs)
    print("Loading the code location")
    print(f"  ours                 {ours:6.2f} s")
    print(f"  dagster and pandas   {alone:6.2f} s")
    print(f"  ratio                {ratio:6.2f} x   (target {TARGET})")


if __name__ == "__main__":
    main()
