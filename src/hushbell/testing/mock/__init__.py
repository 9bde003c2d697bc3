"""Mocks of push providers; hushbell.testing.MockProviders holds them all."""
