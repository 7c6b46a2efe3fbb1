"""The command line: one function per command, without logic. `__main__.py` registers them."""
