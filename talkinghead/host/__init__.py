"""Set up and check the process that the program runs in."""
