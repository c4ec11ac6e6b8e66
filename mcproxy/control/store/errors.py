"""What can go wrong with the database."""

from mcproxy.errors import McproxyError


class StoreError(McproxyError):
    """The database could not do what was asked; it is as it was before."""


class StoreBusyError(StoreError):
    """Another process keeps the database locked; trying again may help."""


class StoreLostError(StoreError):
    """The files at the database's path are not those that are open: it must be opened anew."""


class StoreFullError(StoreError):
    """The disk is full."""


class StoreReadOnlyError(StoreError):
    """The file, its folder or its file system can't be written."""


class StoreCorruptError(StoreError):
    """The file is no database, or a damaged one."""


class StoreFormatError(StoreError):
    """A database, but a newer mcproxy's or another program's; it is left as it is."""
