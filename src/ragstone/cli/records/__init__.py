"""The JSON that `--json` prints. `docs/json.md` is generated from `printed.py`, and the tests hold outputs to it.

A field is added without notice; one that goes or changes its meaning raises SCHEMA_VERSION. Offsets count Unicode
code points of the document's text, pages and lines count from 1, times are POSIX seconds, timings milliseconds.
"""
