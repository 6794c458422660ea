"""From hits to an answer whose every sentence points at the span that supports it."""
