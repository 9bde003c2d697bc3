"""What a client decides: how to register, ask and ring, and which answers to believe (reference/status-go.md 7)."""
