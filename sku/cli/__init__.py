"""The command line: one function a command, no logic. `__main__.py` puts them together."""
