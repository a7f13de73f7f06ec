"""The city platform's TCP protocol (MOHURD 2009 and its relatives): frame, cipher, text, conversation, connection."""
