"""Checks of a plan before it is published: suspicious parts, and the most that it costs."""
