"""The one door to OR-Tools: arrays in, values out.

Arrays go straight into a `ModelProto`; building the same model from solver objects takes ten times as long. Traps
that are avoided here: HiGHS through MathOpt rejects a thread count, and the reason of a refused model stands only in
the error's context.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

from scheduling.errors import SolverFault
from scheduling.milp.model import Arrays, Ints
from scheduling.request import Floats

Solver = Literal["highs", "scip", "glop"]

_SOLVERS = {"highs": mathopt.SolverType.HIGHS, "scip": mathopt.SolverType.GSCIP, "glop": mathopt.SolverType.GLOP}
SHORTEST_S = 0.05
"""Shortest time limit that is worth a call."""


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver found."""

    values: Floats
    objective_cny: float
    bound_cny: float
    optimal: bool


def _proto(arrays: Arrays, *, relax: bool) -> model_pb2.ModelProto:
    proto = model_pb2.ModelProto()
    columns, rows = len(arrays.cost), len(arrays.row_low)
    proto.variables.ids.extend(range(columns))
    proto.variables.lower_bounds.extend(arrays.lower.tolist())
    proto.variables.upper_bounds.extend(arrays.upper.tolist())
    proto.variables.integers.extend([False] * columns if relax else arrays.integer.tolist())
    priced = np.flatnonzero(arrays.cost)
    proto.objective.linear_coefficients.ids.extend(priced.tolist())
    proto.objective.linear_coefficients.values.extend(arrays.cost[priced].tolist())
    proto.linear_constraints.ids.extend(range(rows))
    proto.linear_constraints.lower_bounds.extend(arrays.row_low.tolist())
    proto.linear_constraints.upper_bounds.extend(arrays.row_high.tolist())
    proto.linear_constraint_matrix.row_ids.extend(arrays.row.tolist())
    proto.linear_constraint_matrix.column_ids.extend(arrays.column.tolist())
    proto.linear_constraint_matrix.coefficients.extend(arrays.value.tolist())
    return proto


def solve_arrays(
    arrays: Arrays,
    solver: Solver,
    *,
    limit_s: float,
    gap_ratio: float,
    relax: bool = False,
    hint: tuple[Ints, Floats] | None = None,
) -> Solution:
    """Solves a programme.

    Args:
        arrays: the programme.
        solver: which solver.
        limit_s: time limit; the solver may need a little more to stop.
        gap_ratio: stop when the plan is proven this close to the optimum.
        relax: drop the integrality.
        hint: columns and values of a plan to start from.

    Raises:
        SolverFault: nothing was found, or the solver refused the model.
    """
    try:
        model = mathopt.Model.from_model_proto(_proto(arrays, relax=relax))
        params = mathopt.SolveParameters(
            time_limit=timedelta(seconds=max(SHORTEST_S, limit_s)), relative_gap_tolerance=gap_ratio
        )
        hints = mathopt.ModelSolveParameters()
        if hint is not None:
            values: Mapping[object, float] = {model.get_variable(int(c)): float(v) for c, v in zip(*hint, strict=True)}
            hints = mathopt.ModelSolveParameters(solution_hints=[mathopt.SolutionHint(variable_values=values)])
        result = mathopt.solve(model, _SOLVERS[solver], params=params, model_params=hints)
        if not result.has_primal_feasible_solution():
            raise SolverFault(
                f"{solver}: {result.termination.reason.name}, {result.termination.detail or 'no solution'}"
            )
        found = result.variable_values()
    except (RuntimeError, ValueError, AttributeError) as error:
        raise SolverFault(f"{solver}: {error.__context__ or error}") from error
    values_out = np.fromiter((found[variable] for variable in model.variables()), float, len(arrays.cost))
    reason = result.termination.reason
    return Solution(
        values_out,
        float(result.objective_value()),
        float(result.best_objective_bound()),
        reason == mathopt.TerminationReason.OPTIMAL,
    )
