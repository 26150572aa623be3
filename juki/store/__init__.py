"""Durable storage: SQLite embedded, PostgreSQL by configuration, personal columns sealed."""
