"""Facts in words: Jinja2 for the texts, Babel for amounts, dates and plurals."""
