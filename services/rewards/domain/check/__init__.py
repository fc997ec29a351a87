"""What is wrong or dangerous in a plan before it is published."""
