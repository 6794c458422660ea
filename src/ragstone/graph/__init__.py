"""The knowledge graph: what chunks mention and how it belongs together, without and with a language model."""
