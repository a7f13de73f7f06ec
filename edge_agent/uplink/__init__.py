"""Delivery of records to platforms: what is sent, when a period is closed, and how it gets there."""
