"""Commissioning: finds units on a wire, finds how a register holds a number, measures a bus, proves a command."""
