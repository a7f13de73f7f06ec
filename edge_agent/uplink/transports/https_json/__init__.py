"""Records as JSON over HTTPS: one request a record, delivered when the answer says that it is stored."""
