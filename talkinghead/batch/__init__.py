"""Many jobs, on this machine or on a Ray cluster. Start with `runner.py`."""
