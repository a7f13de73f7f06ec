"""Plan with OR-Tools: the model as arrays, the one door to the solver, and the hand-out of counts to single units."""
