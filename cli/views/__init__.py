"""One view a file, shared by commands: what is read from the services, and how people see it."""
