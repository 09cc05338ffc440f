"""The command `mien`, run by tests."""

from mien.cli.main import main


def mien(*words):
    """Run the command in this process and return its exit status."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stopped:
        return stopped.code
