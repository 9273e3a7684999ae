"""Training of the embedded renderer and of the official networks: pairs of pictures, losses, metrics, a shared loop."""
