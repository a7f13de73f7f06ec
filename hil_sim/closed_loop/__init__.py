"""The service's real planning and control code and the simulated plant in lockstep on a fake clock, without wires.

What lives on wires, disks and sockets is left out: readings come from the plant's sensors at the age that they have in
a plant, the archive is kept in memory. The planner, the forecast, the dispatch and the guard are the service's own.
"""
