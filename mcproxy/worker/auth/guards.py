"""The guards of a filter that have to ask."""

from mcproxy.errors import ApplyError
from mcproxy.model.state.scopes import FilterEntry
from mcproxy.policy.filters.passwords import HtpasswdError, read_users
from mcproxy.worker.auth.basic import BasicAuth
from mcproxy.worker.auth.forward import AuthServer, ForwardAuth
from mcproxy.worker.auth.tools import GuardTools
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange


def guards_of(
    entry: FilterEntry, server: AuthServer, passwords: bytes, tools: GuardTools
) -> tuple[Pool[Exchange], ...]:
    """Return the guards of a filter, in the order in which requests meet them; mostly none.

    Args:
        entry: the filter.
        server: whom `forward_auth` asks.
        passwords: the content of the file of `basic_auth`.
        tools: what guards share.

    Raises:
        ApplyError: the passwords can't be used.
    """
    options = entry.options
    found: list[Pool[Exchange]] = []
    if options.basic_auth:
        try:
            users = read_users(passwords)
        except HtpasswdError as error:
            raise ApplyError(f"{options.basic_auth}:{error.line}: {error}") from error
        found.append(BasicAuth(entry.name, users, tools.hashing, keeps=options.pass_credentials))
    if options.forward_auth is not None:
        asked = options.forward_auth
        found.append(ForwardAuth(entry.name, server, asked.path.encode(), asked.copy_headers, tools.forward))
    return tuple(found)
