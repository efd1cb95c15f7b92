"""The command ``gfz``: parser, commands, messages and progress."""
