"""The operations of API v1, one file for each group."""
