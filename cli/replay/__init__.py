"""Plays recorded purchases through the services and checks what comes out."""
