"""What a push is and what becomes of it: notifications, jobs, states, when to try again. Pure."""
