"""How publishers reach the gateway: gorush's API over HTTP and gRPC, and our own under /v1."""
