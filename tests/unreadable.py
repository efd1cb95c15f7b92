"""Unreadable paths, and the messages about them."""

import socket
from pathlib import Path

UNREADABLE = {
    "none": "no such file",
    "directory": "is a directory",
    "dangling": "is a symbolic link to nowhere, which does not exist",
    "circle": "its symbolic links lead in a circle",
    "socket": "is a socket",
    "file/x": "part of the path is a file, not a directory",
    "x" * 300: "the file name is too long",
}


def make_unreadable(directory: Path) -> None:
    """Make them in a directory."""
    (directory / "directory").mkdir()
    (directory / "dangling").symlink_to("nowhere")
    (directory / "circle").symlink_to("circle")
    (directory / "file").touch()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(directory / "socket"))
