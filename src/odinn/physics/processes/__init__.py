"""What adds up to dH/dt: flow, balance and snow, the rule at the border, and the system they
make.
"""
