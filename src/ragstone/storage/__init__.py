"""The store: SQLite in WAL mode, one folder, many threads and processes."""
