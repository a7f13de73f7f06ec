"""A coarser request with the same edges: its plan, repeated over the fine steps, is a good first plan."""

from itertools import pairwise

import numpy as np

from scheduling.request import Aux, Floats, Grid, Group, PlanRequest, Source, UnitState

PRICE_EDGE_RATIO = 0.2
"""With more price changes than this share of the steps, prices are averaged over a block."""


def blocks_of(request: PlanRequest, *, block_min: float) -> list[int]:
    """First step of every block, and the number of steps: blocks of about `block_min` that never cross an edge.

    Edges are changes of price, availability and a store's limits, midnights of the plant, and the ends of caps and
    demand periods: a mean over such an edge would hide what decides.
    """
    steps, minutes = request.grid.steps, request.grid.minutes
    edge = np.zeros(steps + 1, bool)
    edge[0] = edge[steps] = True
    edge[1:steps] = np.diff(request.days) != 0
    price_edge = np.diff(np.array(request.price_cny_per_kwh)) != 0
    if price_edge.sum() <= PRICE_EDGE_RATIO * steps:  # else a spot price: every step has its own, means must do
        edge[1:steps] |= price_edge
    for group in request.groups:
        for unit in group.units:
            edge[1:steps] |= np.diff(request.available(unit).astype(int)) != 0
    for store in request.storages:  # a block that a limit touches keeps it as a whole
        for cap_kw in request.flow_caps_kw(store):
            edge[1:steps] |= cap_kw[1:] != cap_kw[:-1]
    for first, last in [
        *((d.from_step, d.to_step) for d in request.demand),
        *((c.from_step, c.to_step) for c in request.grid_caps),
    ]:
        edge[[first, last]] = True
    firsts = [0]
    for step in range(1, steps):
        if edge[step] or minutes[firsts[-1] : step].sum() + minutes[step] > block_min + 1e-6:
            firsts.append(step)
    return [*firsts, steps]


def coarse_request(request: PlanRequest, blocks: list[int]) -> PlanRequest:
    """The request with each block as one step; means are weighted by time."""
    minutes = request.grid.minutes
    pairs = list(pairwise(blocks))

    def mean(values: Floats) -> tuple[float, ...]:
        return tuple(float(np.average(values[a:b], weights=minutes[a:b])) for a, b in pairs)

    def mean_or_none(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if values is None else mean(np.array(values))

    def step_of(edge: int) -> int:
        return blocks.index(edge)

    def unit_of(unit: UnitState) -> UnitState:
        if isinstance(unit.available, bool):
            return unit
        return unit.model_copy(update={"available": tuple(unit.available[a] for a, _ in pairs)})

    def group_of(group: Group) -> Group:
        return group.model_copy(
            update={
                "units": tuple(unit_of(unit) for unit in group.units),
                "capacity_factor": mean_or_none(group.capacity_factor),
                "cop_factor": mean_or_none(group.cop_factor),
            }
        )

    def aux_of(aux: Aux) -> Aux:
        keys = {key: mean(request.per_step(getattr(aux, key))) for key in ("max_kw", "cost_cny_per_kwh")}
        return aux.model_copy(update=keys)

    def source_of(source: Source) -> Source:
        return (
            source
            if source.limit_kw is None
            else source.model_copy(update={"limit_kw": mean(request.per_step(source.limit_kw))})
        )

    return PlanRequest(
        schema_id=request.schema_id,
        name=request.name,
        timezone=request.timezone,
        grid=Grid(
            start_utc=request.grid.start_utc,
            step_minutes=tuple(float(minutes[a:b].sum()) for a, b in pairs),
            steps=len(pairs),
        ),
        price_cny_per_kwh=mean(np.array(request.price_cny_per_kwh)),
        other_load_kw=mean(request.per_step(request.other_load_kw)),
        demand=tuple(
            d.model_copy(
                update={
                    "from_step": step_of(d.from_step),
                    "to_step": step_of(d.to_step),
                }
            )
            for d in request.demand
        ),
        grid_caps=tuple(
            c.model_copy(
                update={
                    "from_step": step_of(c.from_step),
                    "to_step": step_of(c.to_step),
                }
            )
            for c in request.grid_caps
        ),
        loops=tuple(loop.model_copy(update={"load_kw": mean(np.array(loop.load_kw))}) for loop in request.loops),
        storages=request.storages,
        sources=tuple(source_of(s) for s in request.sources),
        aux=tuple(aux_of(a) for a in request.aux),
        groups=tuple(group_of(g) for g in request.groups),
    )
