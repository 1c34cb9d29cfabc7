"""Time stepping: a system, a scheme, a controller, their driver and its adjoint. No ice here."""
