"""What must not be lost: raw frames, rollups, the outbox, the audit, plans and the service's own state."""
