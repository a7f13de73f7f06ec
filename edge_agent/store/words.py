"""What is wrong with the disk or a file, and what to do about it, in the operator's two languages."""

import errno
import sqlite3
from pathlib import Path

_BY_SQLITE = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CANTOPEN: "no_leave",
    sqlite3.SQLITE_PERM: "no_leave",
    sqlite3.SQLITE_AUTH: "no_leave",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_IOERR: "broken",
}
_BY_ERRNO = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "no_leave",
    errno.EPERM: "no_leave",
    errno.EIO: "broken",
    errno.EEXIST: "no_folder",
    errno.ENOTDIR: "no_folder",
}
_WORDS = {
    "full": (
        "磁盘或配额已满,请清理磁盘,或调大 quota_mb",
        "the disk or the quota is full: clear the disk, or raise quota_mb",
    ),
    "read_only": (
        "文件或磁盘只读,请检查挂载方式和磁盘健康状况",
        "the file or the disk is read-only: look at how it is mounted, and at the disk's health",
    ),
    "no_leave": (
        "没有权限;请以运行本服务的用户执行(sudo -u edge-agent …),并检查状态目录的属主(应为该用户)",
        "no leave: do it as the service's user (sudo -u edge-agent ...), to whom the state folder must belong",
    ),
    "no_folder": (
        "此处应为文件夹却是文件,请移走该文件",
        "a file lies where a folder should be: move it away",
    ),
    "damaged": (
        "数据库文件损坏;服务重启时自动另存并抢救",
        "a database file is damaged; at its next start the service sets it aside and salvages it",
    ),
    "busy": ("被另一程序占用,请关闭它", "another program holds it: close that"),
    "broken": ("磁盘读写出错,请更换磁盘", "the disk fails to read or write: replace it"),
}


def cause(error: sqlite3.Error | OSError) -> str:
    """A word for what is wrong; empty when it is nothing that an operator can mend."""
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, "")
    return _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")  # the low byte is the primary code


def place(error: sqlite3.Error | OSError, path: Path) -> None:
    """Notes with which file an error has to do: SQLite does not say it."""
    if not getattr(error, "__notes__", None):
        error.add_note(str(path))


def told(error: sqlite3.Error | OSError) -> str:
    """What is wrong in both languages, the file in front where it is known, the error's own words at the end."""
    zh, en = _WORDS.get(cause(error), ("数据库拒绝", "the store refuses"))
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ())[:1])
    return f"{where}{zh} / {en}: {type(error).__name__}: {error}"


def damaged(path: Path, reason: str) -> str:
    """That a file's content makes no sense."""
    zh, en = _WORDS["damaged"]
    return f"{path}: {zh} / {en}: {reason}"
