"""What each kind of step asks of the services, one file for each sort of people who act."""
