"""Each kind of step as calls of the services, one file for each sort of people who act."""
