"""A question becomes hits: candidates from both indexes, fusion, optional reranking, diversity."""
