"""Which model should answer? Models get the same questions over the same passages, and are measured and scored."""
