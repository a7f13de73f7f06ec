"""Steady performance of a 600 kW ground-source unit: a generic map, no make's own.

Levels and slopes are design assumptions in the range of published maps of screw units: about 29 % of the COP is lost
from 45 to 63 degC leaving, capacity and COP rise with the source, part load costs more COP at a high lift.
"""

SOURCE_INLET_DEGC = (4.0, 7.0, 10.0, 13.0, 16.0)
LEAVING_DEGC = (35.0, 40.0, 45.0, 50.0, 55.0, 60.0)

# Rows: source inlet; columns: leaving temperature.
HEAT_KW = (
    (538.0, 519.0, 500.0, 482.0, 464.0, 445.0),
    (589.0, 569.0, 550.0, 531.0, 511.0, 492.0),
    (640.0, 621.0, 600.0, 580.0, 558.0, 537.0),
    (693.0, 672.0, 650.0, 629.0, 607.0, 585.0),
    (745.0, 723.0, 700.0, 678.0, 655.0, 632.0),
)
COP = (
    (4.72, 4.22, 3.77, 3.36, 3.00, 2.66),
    (5.11, 4.56, 4.08, 3.63, 3.25, 2.89),
    (5.52, 4.92, 4.40, 3.92, 3.50, 3.12),
    (5.95, 5.30, 4.73, 4.22, 3.76, 3.35),
    (6.40, 5.70, 5.08, 4.53, 4.03, 3.59),
)

LOAD_RATIO_MIN = 0.30

# Electricity at part load, as a share of that at full load: base + linear x + bend x^2 with base + linear + bend = 1. A
# positive bend makes the curve convex: slopes never fall. The base (circulation of oil, fixed losses) weighs more at a
# high lift.
BASE_RATIO_AT_45 = 0.105
BASE_RATIO_PER_K = 0.003
BASE_RATIO_MIN = 0.08
BEND_RATIO = 0.21


def full_load(source_inlet_degc: float, leaving_degc: float) -> tuple[float, float]:
    """Heat [kW] and electricity [kW] at full load, bilinear, clamped to the envelope, never extrapolated."""
    row, row_share = _place(SOURCE_INLET_DEGC, source_inlet_degc)
    column, column_share = _place(LEAVING_DEGC, leaving_degc)
    heat_kw = _bilinear(HEAT_KW, row, column, row_share=row_share, column_share=column_share)
    cop = _bilinear(COP, row, column, row_share=row_share, column_share=column_share)
    return heat_kw, heat_kw / cop


def electric_ratio(load_ratio: float, leaving_degc: float) -> float:
    """Electricity at a load fraction over electricity at full load."""
    clamped_degc = min(LEAVING_DEGC[-1], max(LEAVING_DEGC[0], leaving_degc))
    base_ratio = max(BASE_RATIO_MIN, BASE_RATIO_AT_45 + BASE_RATIO_PER_K * (clamped_degc - 45.0))
    return base_ratio + (1.0 - base_ratio - BEND_RATIO) * load_ratio + BEND_RATIO * load_ratio * load_ratio


def _place(axis: tuple[float, ...], value: float) -> tuple[int, float]:
    if value <= axis[0]:
        return 0, 0.0
    last = len(axis) - 2
    if value >= axis[-1]:
        return last, 1.0
    cell = min(last, int((value - axis[0]) / (axis[1] - axis[0])))  # both axes have equal steps
    return cell, (value - axis[cell]) / (axis[cell + 1] - axis[cell])


def _bilinear(
    table: tuple[tuple[float, ...], ...], row: int, column: int, *, row_share: float, column_share: float
) -> float:
    upper, lower = table[row], table[row + 1]
    left = upper[column] + row_share * (lower[column] - upper[column])
    right = upper[column + 1] + row_share * (lower[column + 1] - upper[column + 1])
    return left + column_share * (right - left)
