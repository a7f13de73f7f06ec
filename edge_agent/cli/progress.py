"""One line on stderr that shows how far long work is and how much time is left; on a terminal only."""

import sys
from dataclasses import dataclass

import click

from edge_agent.cli.common import Common
from edge_agent.clock import elapsed_s

BAR_PLACES = 20
MINUTE_S = 60
TOLD_FROM = 3
"""Pieces of work after which an estimate of the rest is worth something."""


@dataclass(slots=True)
class Bar:
    """A line that is drawn again and again.

    Attributes:
        common: what every verb shares.
    """

    common: Common
    _label: str = ""
    _begin_s: float = 0.0
    _drawn: bool = False

    def draw(self, label: str, done: int, total: int, *, found: int | None = None) -> None:
        """Draws how far the work named by the label is; another label is other work, with a time of its own."""
        if not sys.stderr.isatty():
            return
        if label != self._label:
            self._label, self._begin_s = label, elapsed_s()
        filled = BAR_PLACES * done // max(1, total)
        bar = "#" * filled + "." * (BAR_PLACES - filled)
        words = [f"\r {label:<11} [{bar}] {done}/{total}"]
        if found is not None:
            words.append(self.common.pick(f"找到 {found}", f"found {found}"))
        if TOLD_FROM <= done < total:
            left_s = (elapsed_s() - self._begin_s) / done * (total - done)
            words.append(self.common.pick(f"约剩 {_duration(left_s)}", f"about {_duration(left_s)} left"))
        click.echo("  ".join(words) + "\033[K", nl=False, err=True)
        self._drawn = True

    def end(self) -> None:
        """Wipes the line, if one was drawn."""
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False


def _duration(left_s: float) -> str:
    whole = round(left_s)
    return f"{whole // MINUTE_S} min {whole % MINUTE_S} s" if whole >= MINUTE_S else f"{whole} s"
