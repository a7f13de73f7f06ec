"""What people read: every text in Chinese and English, keyed by a stable code."""
