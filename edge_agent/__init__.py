"""The service on the plant-room computer: polls, stores, plans, commands, uploads and shows."""
