"""Speaks to plant devices: turns wires into samples and guarded writes; knows no plan, no store, no platform."""
