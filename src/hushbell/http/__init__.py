"""HTTP clients for providers, and the guard that keeps addresses from users out of private networks."""
