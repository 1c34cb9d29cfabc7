"""Ice flow: the interface, shallow ice, its kernel, and exact solutions."""
