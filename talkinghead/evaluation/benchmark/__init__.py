"""Times of the networks, part by part."""
