"""Run many jobs on this machine or on a Ray cluster. Start reading with `runner.py`."""
