"""gorush's API: HTTP and gRPC."""
