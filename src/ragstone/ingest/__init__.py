"""From files to prepared documents: find, load, read in confinement, chunk, store."""
