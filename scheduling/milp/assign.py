"""Between counts and units: hands a group's counts out to its units, reads counts out of a plan, rounds a relaxation.

Stop the longest-running, start the longest-resting unit: then every unit keeps its own minimum times whenever the
counts keep the group's, and hours spread evenly.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from scheduling.errors import SolverFault
from scheduling.milp.model import Cluster, Ints, Model
from scheduling.plan import Draft, UnitTrack, clear_minutes
from scheduling.request import Floats


def draft_of(model: Model, values: Floats) -> Draft:
    """A plan's decisions from a solution.

    Raises:
        SolverFault: the counts cannot be handed out (starts a day that are used up unevenly).
    """
    request = model.request
    modes: dict[str, Sequence[str | None]] = {}
    loads_kw: dict[str, Floats] = {}
    for cluster, columns in zip(model.clusters, model.cluster_columns, strict=True):
        counts = np.array([np.rint(values[k]).astype(int) for k in columns.k])
        shares_kw = np.array([_share_kw(values[q], count) for q, count in zip(columns.q, counts, strict=True)])
        capacity = request.per_step(cluster.group.capacity_factor, 1.0)
        for at, mode in enumerate(cluster.group.modes):
            full_kw = mode.capacity_kw * capacity
            shares_kw[at] = np.clip(shares_kw[at], mode.curve[0][0] * full_kw, mode.curve[-1][0] * full_kw)
        for name, chosen in hand_out(model, cluster, counts).items():
            modes[name] = [None if at is None else cluster.group.modes[at].name for at in chosen]
            loads_kw[name] = np.array([0.0 if at is None else shares_kw[at, step] for step, at in enumerate(chosen)])
    stores = model.store_columns
    return Draft(
        modes,
        loads_kw,
        {name: np.maximum(0.0, values[c.charge]) for name, c in stores.items()},
        {name: np.maximum(0.0, values[c.discharge]) for name, c in stores.items()},
        {name: _aux_kw(model, name, values) for name in model.aux_output},
    )


def _share_kw(total_kw: Floats, count: Ints) -> Floats:
    return np.divide(total_kw, count, out=np.zeros(len(total_kw)), where=count > 0)


def _aux_kw(model: Model, name: str, values: Floats) -> Floats:
    aux = next(aux for aux in model.request.aux if aux.name == name)
    on = np.rint(values[model.aux_on[name]]) > 0
    most_kw = model.request.per_step(aux.max_kw)
    return np.where(on, np.clip(values[model.aux_output[name]], np.minimum(aux.min_kw, most_kw), most_kw), 0.0)


def hand_out(model: Model, cluster: Cluster, counts: Ints) -> dict[str, list[int | None]]:
    """Mode number of every unit and step (None: off) for the counts by mode and step."""
    request = model.request
    tracks = [UnitTrack(cluster.group, unit) for unit in cluster.units]
    names = [mode.name for mode in cluster.group.modes]
    out: dict[str, list[int | None]] = {unit.name: [] for unit in cluster.units}
    for step in range(request.grid.steps):
        day = int(request.days[step])
        want = counts[:, step]
        running = [track for track in tracks if track.on]
        surplus = len(running) - int(want.sum())
        if surplus > 0:  # prefer to stop units of modes that shrink, then the longest-running
            free = [track for track in running if track.may_switch()]
            excess = {name: sum(t.mode == name for t in running) - int(want[at]) for at, name in enumerate(names)}
            free.sort(key=lambda t: (-t.in_state_min, -excess.get(t.mode or "", 0), t.unit.name))
            if len(free) < surplus:
                raise SolverFault(
                    f"cannot hand out the counts of {cluster.group.name}: step {step}, too few units may stop"
                )
            running = [track for track in running if track not in free[:surplus]]
        elif surplus < 0:
            rested = [track for track in tracks if not track.on and track.may_switch() and track.starts_left(day) > 0]
            rested.sort(key=lambda t: (-t.in_state_min, -t.starts_left(day), t.unit.name))
            if len(rested) < -surplus:
                raise SolverFault(
                    f"cannot hand out the counts of {cluster.group.name}: step {step}, too few units may start"
                )
            running = running + rested[:-surplus]
        chosen = _modes_of(running, names, want)
        for track in tracks:
            at = chosen.get(track.unit.name)
            out[track.unit.name].append(at)
            track.advance(None if at is None else names[at], step_min=float(request.grid.minutes[step]), day=day)
    return out


def _modes_of(running: Sequence[UnitTrack], names: Sequence[str], want: Ints) -> dict[str, int]:
    """Keeps units in their mode where the counts allow; the rest fills up what is left."""
    left = want.copy()
    chosen: dict[str, int] = {}
    for track in running:
        if track.on and track.mode in names and left[names.index(track.mode)] > 0:
            at = names.index(track.mode)
            chosen[track.unit.name] = at
            left[at] -= 1
    for track in running:
        if track.unit.name not in chosen:
            at = int(np.argmax(left > 0))
            chosen[track.unit.name] = at
            left[at] -= 1
    return chosen


def integers_of(
    model: Model, modes: Mapping[str, Sequence[str | None]], aux_on: Mapping[str, Sequence[bool]]
) -> tuple[Ints, Floats]:
    """Columns and values of all whole numbers that belong to unit modes and auxiliaries: a hint, or a fixing."""
    columns: list[Ints] = []
    values: list[Floats] = []
    for cluster, block in zip(model.clusters, model.cluster_columns, strict=True):
        chosen = np.array([[mode or "" for mode in modes[unit.name]] for unit in cluster.units])
        columns.append(block.on)
        values.append((chosen != "").sum(axis=0).astype(float))
        for mode, k in zip(cluster.group.modes, block.k, strict=True):
            columns.append(k)
            values.append((chosen == mode.name).sum(axis=0).astype(float))
    for name, on in model.aux_on.items():
        columns.append(on)
        values.append(np.array(aux_on[name], float))
    if not columns:  # nothing but stores and loads
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(columns), np.concatenate(values)


def round_counts(model: Model, values: Floats, *, up_from: float) -> dict[str, list[str | None]]:
    """Modes of every unit that follow a relaxed solution as closely as minimum times, starts and outages allow.

    `up_from` is the part of a unit from which on a whole one runs.
    """
    request = model.request
    out: dict[str, list[str | None]] = {}
    for cluster, block in zip(model.clusters, model.cluster_columns, strict=True):
        share = np.array([values[k] for k in block.k])
        tracks = [UnitTrack(cluster.group, unit) for unit in cluster.units]
        names = [mode.name for mode in cluster.group.modes]
        for unit in cluster.units:
            out[unit.name] = []
        clear_min = clear_minutes(request.grid.minutes, cluster.available)
        for step in range(request.grid.steps):
            day = int(request.days[step])
            wanted = int(np.ceil(float(share[:, step].sum()) - up_from))
            running = _nearest_running(
                tracks, wanted=wanted, day=day, clear_min=float(clear_min[step]), open_=bool(cluster.available[step])
            )
            counts = np.floor(share[:, step] + 1e-6).astype(int)
            order = np.argsort(-(share[:, step] - counts), kind="stable")
            while counts.sum() < len(running):
                counts[order[(len(running) - counts.sum() - 1) % len(order)]] += 1
            while counts.sum() > len(running):
                counts[int(np.argmax(counts))] -= 1
            chosen = _modes_of(running, names, counts)
            for track in tracks:
                at = chosen.get(track.unit.name)
                name = None if at is None else names[at]
                out[track.unit.name].append(name)
                track.advance(name, step_min=float(request.grid.minutes[step]), day=day)
    return out


def _nearest_running(
    tracks: Sequence[UnitTrack], *, wanted: int, day: int, clear_min: float, open_: bool
) -> list[UnitTrack]:
    """Units that run in the next step: as many as wanted, within what each may do."""
    if not open_:
        return []
    running = [track for track in tracks if track.on]
    if len(running) > wanted:
        free = sorted((t for t in running if t.may_switch()), key=lambda t: (-t.in_state_min, t.unit.name))
        gone = {track.unit.name for track in free[: len(running) - wanted]}
        return [track for track in running if track.unit.name not in gone]
    rested = [
        t
        for t in tracks
        if not t.on and t.may_switch() and t.starts_left(day) > 0 and clear_min >= t.group.min_up_minutes
    ]
    rested.sort(key=lambda t: (-t.in_state_min, t.unit.name))
    return running + rested[: max(0, wanted - len(running))]
