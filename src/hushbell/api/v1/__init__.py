"""Our own API under ``/v1``, described by its OpenAPI document."""
