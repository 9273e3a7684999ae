"""Make narrated videos of any length from scripts. Start reading with `narrate.py`."""
