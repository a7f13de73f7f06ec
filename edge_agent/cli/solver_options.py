"""How long to look for a plan and how good it must be: options of every verb that plans."""

from collections.abc import Callable
from typing import Any

import click

from edge_agent.cli.common import Finite

LIMIT_S_MAX = 600.0


def solver_options(*, limit_s: float, gap_share: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--limit` and `--gap` with these defaults."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        gap = click.option(
            "--gap",
            "gap_share",
            type=Finite(0.0, 1.0),
            default=gap_share,
            show_default=True,
            help="离最优至多差这一比例就停 / stop when proven this close to the optimum.",
        )
        limit = click.option(
            "--limit",
            "limit_s",
            type=Finite(min=0.0, min_open=True, max=LIMIT_S_MAX),
            default=limit_s,
            show_default=True,
            help="每个计划的求解秒数 / seconds a plan.",
        )
        return limit(gap(function))

    return add
