"""The official networks: F, M, W, G, and the small S, R_eyes and R_lip."""
