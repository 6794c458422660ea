"""Text as language: index terms, which language it is, where sentences stand."""
