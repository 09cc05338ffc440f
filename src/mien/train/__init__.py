"""Training, evaluation and export; the only part of mien that needs torch."""
