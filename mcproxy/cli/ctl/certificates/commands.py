"""The commands of `mcproxyctl` about certificates that are ordered from a CA."""

from typing import Annotated

from mcproxy.cli.common.command_line import App, Argument, Option
from mcproxy.cli.ctl.options import Server, user

certificates = App("certificates", "Certificates that are ordered from a CA.", default="list")

NameArgument = Annotated[str, Argument("NAME", "The hostname of a route whose certificate is ordered.")]
AuthorOption = Annotated[
    str | None,
    Option(metavar="NAME", help="Who wants it; default: the user who runs this. On TCP the certificate counts."),
]
ReasonOption = Annotated[str, Option(metavar="TEXT", help="Why.")]

_EPILOG = "It may take minutes. The audit keeps who wanted it: mcproxyctl history --audit."


@certificates.command("list", examples=["certificates list", "certificates"])
def list_certificates(server: Server) -> int:
    """Show every certificate that is ordered: from whom it is, until when, when it is renewed, and what has failed."""
    from mcproxy.cli.ctl.certificates import shown

    return shown.certificates(server)


@certificates.command(examples=["certificates show www.example.com"])
def show(name: NameArgument, *, server: Server) -> int:
    """Show all that is known of a certificate: its names, its file, the last error in full."""
    from mcproxy.cli.ctl.certificates import shown

    return shown.certificate(server, name)


@certificates.command(examples=["certificates renew www.example.com"], epilog=_EPILOG)
def renew(name: NameArgument, author: AuthorOption = None, reason: ReasonOption = "", *, server: Server) -> int:
    """Order a new certificate now, whatever pause a failure has left. Done when it is served; if that fails the old one is served on."""
    from mcproxy.cli.ctl.certificates import shown

    return shown.renewed(server, name, author=user() if author is None else author, reason=reason)


@certificates.command("try", examples=["certificates try www.example.com"], epilog=_EPILOG)
def try_out(name: NameArgument, author: AuthorOption = None, reason: ReasonOption = "", *, server: Server) -> int:
    """Make a whole order and throw the certificate away: at Let's Encrypt's staging directory where it is the CA, else at the CA itself."""
    from mcproxy.cli.ctl.certificates import shown

    return shown.tried(server, name, author=user() if author is None else author, reason=reason)
