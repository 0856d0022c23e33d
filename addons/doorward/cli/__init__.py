"""The commands: a noun a file; each parses, calls one function and prints."""
