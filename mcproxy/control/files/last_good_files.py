"""The last good contents of files that are renewed on their own, to go on with where one is broken or missing.

What is edited together, the TOML, counts as a whole or not at all. A certificate and its key, a list of CAs and the
country database are renewed one by one, by others: one that is broken must hold up nothing else. What was good last is
live, and lies beside the database for the next start.

Contents that turned out to be wrong while they served are withdrawn: until the file holds something else, what it held before has their place.
That is set aside when the new content becomes live.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.content_checks import file_problems
from mcproxy.control.files.contents import Contents, StandIn
from mcproxy.control.files.loading import country_database_problem, ordered_refusal
from mcproxy.model.state.named_files import (
    Group,
    Owner,
    file_groups,
    files_of,
    group_of,
    ordered_file,
    ordered_files,
    owners,
)
from mcproxy.model.state.state import Route, State
from mcproxy.model.values.origins import Key
from mcproxy.named_file import COUNTRIES_LIMIT, read_file, touching

_SUFFIX = ".files"
_ASIDE, _WITHDRAWN = "aside", "withdrawn"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600  # there are keys among them
_ADMIN = ("grpc.addr", "grpc.tls_cert", "grpc.tls_key", "grpc.client_ca")


class Withdrawal(msgspec.Struct, frozen=True):
    """Contents of files that belong together, and what they stand for.

    Attributes:
        version: of the contents that were withdrawn, or may be, as `Contents.version` has it.
        contents: those of before.
        why: the former were withdrawn; "" as long as they are not.
    """

    version: str
    contents: list[bytes]
    why: str = ""


class LastGood:
    """Knows the last good contents of the files that a state names: those that are live, and those on the disk."""

    def __init__(self, live: Callable[[], tuple[State, Assets | None]] = lambda: (State(), None)) -> None:
        """Take what is live from ``live``: the state and its files, if there are any yet."""
        self._live = live
        self._withdrawn: dict[str, Withdrawal] | None = None

    def set_aside(self, state: State, group: Group, version: str, contents: Sequence[bytes]) -> None:
        """Keep what files held before they hold what has a version now; what is set aside already, from before that, stays so.

        Raises:
            OSError: it can't be kept.
        """
        folder = _folder(state)
        with touching(str(folder)):
            folder.mkdir(_FOLDER_MODE, exist_ok=True)
            aside = folder / _file_name(group, [], _ASIDE)
            earlier = _read(aside)
            kept = list(contents) if earlier is None else earlier.contents
            _write(aside, msgspec.msgpack.encode(Withdrawal(version, kept)))

    def withdraw(self, state: State, group: Group, why: str) -> bool:
        """Have what was set aside in the place of what files hold, until they hold something else; tell whether there is something.

        Raises:
            OSError: it can't be read or written.
        """
        folder = _folder(state)
        with touching(str(folder)):
            aside = folder / _file_name(group, [], _ASIDE)
            found = _read(aside)
            if found is None:
                return False
            name = _file_name(group, [], _WITHDRAWN)
            found = msgspec.structs.replace(found, why=why)
            _write(folder / name, msgspec.msgpack.encode(found))
            aside.unlink()
        self._known(folder)[name] = found
        return True

    def forget(self, state: State, group: Group) -> None:
        """Keep no longer what was set aside; raises OSError."""
        folder = _folder(state)
        with touching(str(folder)), contextlib.suppress(FileNotFoundError):
            (folder / _file_name(group, [], _ASIDE)).unlink()

    def withdraws(self, state: State) -> bool:
        """Tell whether contents of some files are withdrawn."""
        return bool(self._known(_folder(state)))

    def _known(self, folder: Path) -> dict[str, Withdrawal]:
        """Return what is withdrawn, by the names under which it is kept; the folder is read once."""
        if self._withdrawn is None:
            self._withdrawn = {}
            with contextlib.suppress(OSError), touching(str(folder)):
                for name in [entry.name for entry in os.scandir(folder) if entry.name.endswith(f".{_WITHDRAWN}")]:
                    found = _read(folder / name)
                    if found is not None:
                        self._withdrawn[name] = found
        return self._withdrawn

    def _replace_withdrawn(self, state: State, only: Collection[Key], contents: Contents) -> None:
        """Put in the place of what was withdrawn what was there before; forget withdrawals of files that hold something else by now."""
        known = self._known(_folder(state))
        if not known:
            return
        named: list[tuple[Key | None, str, Group]] = [
            (key, name, group) for key, owner in owners(state, only).items() for name, group in files_of(state, owner)
        ]
        countries = str(state.settings["firewall.geoip_db"])
        if countries:
            named.append((None, "firewall.geoip_db", (countries,)))
        for key, name, group in named:
            kept = _file_name(group, [], _WITHDRAWN)
            found = known.get(kept)
            if found is None:
                continue
            if not contents.replaces(group):
                if contents.version(group) != found.version:
                    del known[kept]
                    continue
                contents.replace(group, found.contents)
            contents.stand_ins.append(StandIn(key, name, f"withdrawn by guard: {found.why}", found.version))

    def stand_in(self, state: State, only: Collection[Key], contents: Contents) -> None:
        """Put last good contents in the place of broken files, and note what is wrong with those.

        Args:
            state: what is to run.
            only: kinds and keys of the routes and upstreams whose files are looked at; the country database always is.
            contents: of this look; they hold the last good ones afterwards.
        """
        self._replace_withdrawn(state, only, contents)
        held = _Held(*self._live(), _folder(state))
        named = owners(state)
        for problem in file_problems(state, only, contents):
            if problem.severity == "warning":
                continue
            group = group_of(state, named[problem.owner], problem.name)
            version = contents.version(group)
            if held.replace(group, contents):
                contents.stand_ins.append(StandIn(problem.owner, problem.name, problem.message, version))
        self._stand_in_ordered(state, named, held, contents)
        countries = str(state.settings["firewall.geoip_db"])
        wrong = country_database_problem(countries, contents) if countries else ""
        if wrong:
            version = contents.version((countries,))
            if held.replace((countries,), contents):
                contents.stand_ins.append(StandIn(None, "firewall.geoip_db", wrong, version))

    def stand_in_ordered(self, state: State, contents: Contents) -> None:
        """Do so for certificates that are ordered from a CA alone: that one is broken or missing is never an error."""
        if ordered_files(state):
            held = _Held(*self._live(), _folder(state))
            self._stand_in_ordered(state, owners(state), held, contents)

    def _stand_in_ordered(self, state: State, named: Mapping[Key, Owner], held: "_Held", contents: Contents) -> None:
        for key, owner in named.items():
            path = ordered_file(state, owner) if isinstance(owner, Route) else ""
            if not path:
                continue
            wrong = ordered_refusal(contents, path)
            if wrong is None:
                wrong = f"there is no file {path} any more"
            version = contents.version((path,)) if wrong else ""
            if wrong and held.replace((path,), contents):
                contents.stand_ins.append(StandIn(key, "certificate", wrong, version))

    def serves_admin_api(self, state: State) -> bool:
        """Tell whether the admin API is served already as a state wants it, so that it goes on with the files it has."""
        live, assets = self._live()
        return assets is not None and all(live.settings[name] == state.settings[name] for name in _ADMIN)

    def keep(self, state: State, assets: Assets) -> None:
        """Write the contents that are live beside the database, and remove what no state needs any more.

        Raises:
            OSError: they can't be written.
        """
        folder = _folder(state)
        groups = file_groups(state)
        held_by = {group: [assets.digests[name] for name in group] for group in groups}
        wanted = {_file_name(group, digests): group for group, digests in held_by.items() if all(digests)}
        with touching(str(folder)):
            if groups:
                folder.mkdir(_FOLDER_MODE, exist_ok=True)
            there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
            missing = wanted.keys() - there
            held = assets.contents() if missing else {}
            for name in missing:
                _write(folder / name, msgspec.msgpack.encode([held[path] for path in wanted[name]]))
            kept = {_file_name(group, [], kind) for group in groups for kind in (_ASIDE, _WITHDRAWN)}
            kept -= {name for name in kept if name.endswith(_WITHDRAWN) and name not in self._known(folder)}
            for name in there - wanted.keys() - kept:
                with contextlib.suppress(FileNotFoundError):
                    (folder / name).unlink()


class _Held:
    """The last good contents, read when they are asked for."""

    def __init__(self, state: State, assets: Assets | None, folder: Path) -> None:
        self._groups = set() if assets is None else set(file_groups(state))
        self._assets = assets
        self._live: Mapping[str, bytes] | None = None
        self._folder = folder

    def replace(self, group: Group, contents: Contents) -> bool:
        """Put the last good contents of files that belong together in their place; tell whether there are any."""
        if not contents.replaces(group):
            found = self._find(group)
            if found is None:
                return False
            contents.replace(group, found)
        return True

    def _find(self, group: Group) -> list[bytes] | None:
        if group in self._groups and self._assets is not None:
            if self._live is None:
                self._live = self._assets.contents()
            if all(path in self._live for path in group):  # but for an ordered certificate that has not come yet
                return [self._live[path] for path in group]
        with contextlib.suppress(OSError, msgspec.MsgspecError), touching(str(self._folder)):
            prefix = _file_name(group, [])
            for name in [entry.name for entry in os.scandir(self._folder) if entry.name.startswith(prefix)]:
                packed = read_file(str(self._folder / name), 2 * COUNTRIES_LIMIT)
                stored = msgspec.msgpack.decode(packed, type=list[bytes])
                if name == _file_name(group, [hashlib.sha256(content).hexdigest() for content in stored]):
                    return stored
        return None


def _read(path: Path) -> Withdrawal | None:
    """Return what a file of ours says, None if it is not there or says nothing; raises OSError when it can't be read."""
    try:
        return msgspec.msgpack.decode(read_file(str(path), 2 * COUNTRIES_LIMIT), type=Withdrawal)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def version_of(group: Group, digests: Mapping[str, str]) -> str:
    """Return what `Contents.version` says of files whose contents have these digests, by path."""
    total = hashlib.sha256()
    for path in group:
        total.update(bytes.fromhex(digests[path]))
    return total.hexdigest()


def _folder(state: State) -> Path:
    return Path(str(state.settings["database.path"]) + _SUFFIX)


def _file_name(group: Group, digests: list[str], kind: str = "") -> str:
    """Return the name of a file by what it is for and what it holds; without ``digests`` and ``kind`` the beginning of all such names."""
    paths = hashlib.sha256("\0".join(group).encode(errors="surrogateescape")).hexdigest()
    return f"{paths}.{kind}" + (hashlib.sha256("".join(digests).encode()).hexdigest() if digests else "")


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there wholly or not at all, and readable for its owner alone from the first moment."""
    part = path.with_name(f"{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(content)
    part.rename(path)
