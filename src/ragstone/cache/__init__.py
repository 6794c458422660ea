"""Caches that cannot be stale: a key holds the state of everything the value was computed from."""
