"""What a turn wants, and where a conversation goes."""
