"""Events on the clock: SQLite by default, PostgreSQL for many replicas."""
