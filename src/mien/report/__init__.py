"""Observations become tables, JSON and pictures."""
