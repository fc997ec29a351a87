"""Program files: YAML that maps one to one onto the contracts' messages, with the line of every mistake."""
