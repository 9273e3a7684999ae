"""The training commands: they read a data folder and train, export or measure a model."""
