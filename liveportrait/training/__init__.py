"""Training of the embedded renderer: pairs of pictures, losses, metrics and the shared training loop."""
