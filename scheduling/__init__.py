"""Turns prices, loads and the plant into a plan; pure, knows no clock, disk or network."""
