"""How records travel: one module a protocol, three methods each."""
