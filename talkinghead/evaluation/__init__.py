"""Figures of merit: how faithful the pictures are, how true the lips, how fast the product."""
