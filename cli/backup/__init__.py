"""Backups: the database as it was at one moment, with the totals by which a restore is checked."""
