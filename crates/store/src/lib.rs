//! Durable records: SQLite or PostgreSQL behind one SQL text; versioned formats; sealed secrets.
