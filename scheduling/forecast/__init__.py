"""What is expected over the horizon: outdoor temperature and load, hour by hour, with their own error. Pure."""
