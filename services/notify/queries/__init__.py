"""What reads only."""
