"""Reasons of a finished plan, subject by subject; `scheduling.explain` puts them together."""
