"""The main job, shown: simulated phones, a real server, a stand-in for Apple that speaks real HTTP/2 over TLS."""
