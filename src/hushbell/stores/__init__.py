"""Where the server's facts are kept: in RAM alone, or in SQLite."""
