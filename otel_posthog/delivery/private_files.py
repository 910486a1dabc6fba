"""Files that hold prompts: 0600 in directories of 0700 from the first byte, and nothing that others can replace."""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path

_IS_POSIX = os.name == "posix"
_NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0)
_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_directory(path: Path) -> None:
    """Make a directory, and its parents, that only its owner may enter.

    An existing one may be readable for others, as its files are not. Raises ``OSError``, with a sentence, if it is a
    link, belongs to someone else or can be written by others.
    """
    if not path.parent.is_dir():
        make_directory(path.parent)
    try:
        path.mkdir(mode=_DIRECTORY_MODE)
        path.chmod(_DIRECTORY_MODE)  # whatever the umask
    except FileExistsError:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise PermissionError("it is a link") from None
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError("it is not a directory") from None
        if _IS_POSIX and found.st_uid != os.geteuid():
            raise PermissionError("it belongs to another user") from None
        if _IS_POSIX and found.st_mode & _OTHERS_WRITE:
            raise PermissionError("other users can write to it (chmod 700 it)") from None


def create(path: Path) -> FileIO:
    """A new file, open for reading and writing. Raises ``FileExistsError``."""
    file = FileIO(path, "x+", opener=_open)
    path.chmod(_FILE_MODE)  # whatever the umask
    return file


def open_existing(path: Path, mode: str = "r+") -> FileIO:
    """An existing file of this user. Raises ``OSError`` if it is a link or belongs to someone else."""
    file = FileIO(path, mode, opener=_open)
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or (_IS_POSIX and found.st_uid != os.geteuid()):
        file.close()
        raise PermissionError("it is not a file of this user")
    if stat.S_IMODE(found.st_mode) != _FILE_MODE:  # it is new and the umask is strict, or older than this rule
        path.chmod(_FILE_MODE)
    return file


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_LINKS, _FILE_MODE)
