"""Messages on their way to the application: queued, once each, and those that were missed."""
