"""The push notification server: load facts, decide, commit, answer."""
