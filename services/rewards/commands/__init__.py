"""One function a use case; each owns its transaction."""
