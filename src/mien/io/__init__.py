"""Bytes become frames."""
