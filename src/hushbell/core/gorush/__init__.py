"""gorush's API as pure functions: its JSON read as Go reads it, and what it makes of it for each provider."""
