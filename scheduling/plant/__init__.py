"""The planner's own model of a plant, from figures alone: units, stores, sources, auxiliaries. It knows no request."""
