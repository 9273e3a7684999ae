"""The command line, one file for each family of commands. Start with `app.py`."""
