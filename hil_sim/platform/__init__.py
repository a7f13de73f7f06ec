"""The city platform: receives records, keeps them, acknowledges what it keeps, and counts what it really has."""
