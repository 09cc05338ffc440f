"""Running trained models without torch."""
