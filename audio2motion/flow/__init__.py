"""A trainable motion generator: flow matching from speech to motion of the official networks."""
