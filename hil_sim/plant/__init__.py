"""Physics of the simulated plants: units, tank, ground, pumps, building, weather. Pure: no clock, no wire, no agent."""
