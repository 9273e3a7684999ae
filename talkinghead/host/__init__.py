"""What the program does to the process it runs in, and what the library checks about it."""
