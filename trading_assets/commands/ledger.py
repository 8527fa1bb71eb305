"""The ledger, at the prompt."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import reporting

if TYPE_CHECKING:
    from trading_assets.adapters.ledger.backup import Copied

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@reporting
def backup(*, file: Path) -> None:
    """Copy the whole ledger into FILE, also while runs write; FILE must be new."""
    from trading_assets.adapters.ledger.backup import back_up  # noqa: PLC0415 - commands import what they need
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    _show(file, back_up(Settings.from_environment().ledger, file))


@click.command()
@click.argument("file", type=FILE)
@reporting
def restore(*, file: Path) -> None:
    """Fill an empty ledger from FILE, a backup: all of it or nothing."""
    from trading_assets.adapters.ledger.backup import restore as fill  # noqa: PLC0415 - as above
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    _show(file, fill(file, Settings.from_environment().ledger))


def _show(file: Path, copied: "Copied") -> None:
    """Print how many rows there are, and a line as ``sha256sum --check`` takes it."""
    for name, count in copied.rows.items():
        click.echo(f"{count:>12,} {name}")
    click.echo(f"{copied.sha256}  {file}")
