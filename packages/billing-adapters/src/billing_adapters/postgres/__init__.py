"""Billing's truth in PostgreSQL: every "once" of the core is a named unique constraint here.

SQLAlchemy Core is the language (`tables`, the statements in each store), asyncpg the wire (`database`).
"""
