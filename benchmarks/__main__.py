"""Everything that we measure, one after the other: ``make bench``."""

from benchmarks import analysts, charts, floor, ibkr, indicators, load, spine


def main() -> None:
    """Run them all; each prints its own figures and targets."""
    for benchmark in (load, indicators, charts, floor, spine, ibkr, analysts):
        benchmark.main()
        print()


if __name__ == "__main__":
    main()
