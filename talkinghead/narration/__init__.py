"""From a script to a finished narration of any length. Start with `narrate.py`."""
