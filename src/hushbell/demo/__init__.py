"""The main job, shown: simulated phones, a real server, a mock of Apple that speaks real HTTP/2 over TLS."""
