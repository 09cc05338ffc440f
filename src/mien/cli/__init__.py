"""The `mien` command: one module a verb."""
