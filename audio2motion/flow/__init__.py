"""A motion generator to train yourself: flow matching from a voice to the motion of the official networks."""
