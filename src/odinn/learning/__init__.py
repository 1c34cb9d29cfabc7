"""Learning: losses, regularisation, optimisers, exact gradients, and the driver ``invert``."""
