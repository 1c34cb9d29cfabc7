"""data/demo"""
