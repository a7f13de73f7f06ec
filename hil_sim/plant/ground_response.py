"""How a borehole wall answers to extraction: the g-function of the field as a table and as a sum of relaxations.

The field: 18 x 20 boreholes of 120 m, 5 m apart, heads 2 m deep, radius 75 mm; ground 2.1 W/(m K), 2.4 MJ/(m3 K). The
table was computed for this project as finite line sources with the same extraction per metre everywhere, averaged over
all walls.
Source: Claesson, Javed, "An analytical method to calculate borehole fluid temperatures for time-scales from minutes
    to decades",
ASHRAE Transactions 117(2), 2011, equations (10)-(14); the test computes points of it again.

The relaxations are a non-negative fit to the table from 1 h to 2 years. They aggregate the past exactly for any length
of step: each term needs one number as memory. A line source answers late in the first hours; the wall is then a few
tenths of a kelvin too warm, which the water in the pipes (a node of its own) hides.
"""

BOREHOLES_LONG = 18
BOREHOLES_WIDE = 20
BOREHOLE_SPACING_M = 5.0
BOREHOLE_LENGTH_M = 120.0
BOREHOLE_HEAD_DEPTH_M = 2.0
BOREHOLE_RADIUS_M = 0.075
GROUND_CONDUCTIVITY_W_PER_M_K = 2.1
GROUND_HEAT_CAPACITY_J_PER_M3_K = 2.4e6

G_FUNCTION: tuple[tuple[float, float], ...] = (
    (4_800.0, 0.4127),
    (9_600.0, 0.6850),
    (19_200.0, 0.9919),
    (38_400.0, 1.3177),
    (76_800.0, 1.6533),
    (153_600.0, 1.9937),
    (307_200.0, 2.3362),
    (614_400.0, 2.6795),
    (1_228_800.0, 3.0234),
    (2_457_600.0, 3.3931),
    (4_915_200.0, 3.9320),
    (9_830_400.0, 4.9349),
    (19_660_800.0, 6.8546),
    (39_321_600.0, 10.4705),
    (78_643_200.0, 17.1068),
)
"""(time [s], g): wall temperature drop = extraction per metre / (2 pi conductivity) x g."""

RELAXATIONS: tuple[tuple[float, float], ...] = (
    (7_200.0, 0.5682),
    (28_800.0, 0.6719),
    (115_200.0, 0.6303),
    (460_800.0, 0.8431),
    (1_843_200.0, 0.2380),
    (29_491_200.0, 0.0843),
    (117_964_800.0, 5.3667),
    (471_859_200.0, 74.3185),
)
"""(time constant [s], weight): g(t) = sum of weight x (1 - exp(-t / time constant))."""
