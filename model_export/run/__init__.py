"""A training run: every number of it, and what it leaves."""
