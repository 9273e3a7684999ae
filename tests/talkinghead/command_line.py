"""The program as a function."""

from talkinghead import cli


def run(*arguments):
    """Run the program in this process and return its exit code."""
    try:
        cli.main(arguments)
    except SystemExit as left:
        return left.code
    return 0
