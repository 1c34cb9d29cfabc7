"""Time stepping: the interfaces, four steppers, and ``integrate``. Nothing here mentions ice."""
