"""How long the read plan of a big map takes, against reading each point alone: `python tests/bench/read_plan.py`."""

import json
import random
from statistics import median

from drivers.profile import Limits
from drivers.read_plan import LineCost, Span, Want, read_plan
from edge_agent.clock import stopwatch

POINT_COUNT = 1472
"""The largest map of one heat pump that the reference notes name."""
ROUNDS = 9
LINES = {
    "9600_8N1_20ms": LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.020),
    "115200_8N1_5ms": LineCost.serial(baud=115200, bits_per_character=10, turnaround_s=0.005),
    "tcp_5ms": LineCost.tcp(turnaround_s=0.005),
}


def big_map(seed: int) -> list[Want]:
    """Points of one or two registers with gaps, most of them short."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible map
    wants: list[Want] = []
    address = 0
    for number in range(POINT_COUNT):
        size = dice.choice((1, 1, 2))
        wants.append(Want((f"p{number}",), Span(3, address, size)))
        address += size + (0 if dice.random() < 0.7 else int(dice.expovariate(1 / 20)))
    return wants


def main() -> None:
    """Prints one JSON object a line type."""
    wants = big_map(1)
    for line, cost in LINES.items():
        seconds = []
        for _ in range(ROUNDS):
            passed_s = stopwatch()
            reads = read_plan(wants, cost=cost, limits=Limits())
            seconds.append(passed_s())
        alone_s = sum(cost.price_s(want.span) for want in wants)
        planned_s = sum(cost.price_s(read.span) for read in reads)
        print(
            json.dumps(
                {
                    "bench": "read_plan",
                    "line": line,
                    "points": POINT_COUNT,
                    "reads": len(reads),
                    "plan_s_median": round(median(seconds), 4),
                    "cost_ratio_to_one_by_one": round(planned_s / alone_s, 3),
                }
            )
        )


if __name__ == "__main__":
    main()
