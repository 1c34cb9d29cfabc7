"""Flow, balance and laws: what adds up to dH/dt."""
