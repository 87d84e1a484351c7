"""Verify, then time: vivace beside a tuned NumPy program, on this machine."""
