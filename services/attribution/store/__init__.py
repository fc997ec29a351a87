"""SQL in, values of the domain out."""
