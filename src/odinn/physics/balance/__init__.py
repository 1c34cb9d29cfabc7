"""Surface mass balance: the interface, temperature index, and calibration."""
