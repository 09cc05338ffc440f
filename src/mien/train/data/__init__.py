"""Data sets become arrays and batches."""
