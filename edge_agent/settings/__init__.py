"""Configuration: what the four files say, where each line stands, and whether it can be used."""
