"""What callers speak to the gateway, and the HTTP server under it."""
