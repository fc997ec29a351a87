"""What changes things: one function a use case, each owns its transaction."""
