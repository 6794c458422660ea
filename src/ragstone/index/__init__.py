"""Derived indexes: they follow the store and can always be rebuilt from it."""
