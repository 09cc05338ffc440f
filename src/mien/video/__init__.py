"""Faces followed through a video, their readings evened out, and what they add up to."""
