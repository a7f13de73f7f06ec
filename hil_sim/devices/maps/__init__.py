"""Register maps, one module a device model, written from the makers' facts and from nothing that the agent uses."""
