"""Budgets that are a wall: what calls of language models cost, what they may cost, and who pays."""
