"""What a program counts from conversion to conversion."""
