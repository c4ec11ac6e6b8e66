"""What `mcproxyctl` shows of certificates that are ordered, and says of orders that were asked for."""

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.command_line import UsageError
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment

_HEADERS = ("NAME", "STATE", "ISSUER", "NOT AFTER", "RENEWAL", "FAILURES", "LAST ERROR")
_STYLES = {"failing": "yellow", "waiting": "red"}
_SOON = "now"


def certificates(server: Server) -> int:
    """Print every certificate that is ordered."""
    with server.client() as client:
        answer = client.list_certificates()
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    rows = [_row(one) for one in answer.certificates]
    styles = [_STYLES.get(state(one), "") for one in answer.certificates]
    print_table(
        _HEADERS,
        rows,
        right=("FAILURES",),
        whole=("NAME",),
        drop=("LAST ERROR", "ISSUER"),
        styles=styles,
        wide=server.wide,
    )
    return OK


def certificate(server: Server, name: str) -> int:
    """Print all that is known of a certificate; raises `UsageError` for no name, which would mean all of them."""
    if not name:
        raise UsageError("name the hostname of a route")
    with server.client() as client:
        (one,) = client.list_certificates(name).certificates
    if server.as_json:
        print_json(api.to_builtins(one))
        return OK
    rows = [
        ("name", one.name),
        ("names", ", ".join(one.names)),
        ("state", f"{state(one)}: {one.summary}"),
        ("file", one.file),
    ]
    if one.issuer:
        rows += [("issuer", one.issuer), ("valid", f"{moment(one.not_before)} to {moment(one.not_after)}")]
        rows += [("renewal", _renewal(one))]
    if one.failures:
        rows += [
            ("failures", str(one.failures)),
            ("next try", moment(one.next_try) if one.HasField("next_try") else _SOON),
        ]
    if one.error:
        rows += [("last error", one.error)]
    print_table(("", ""), rows, header=False)
    return OK


def renewed(server: Server, name: str, *, author: str, reason: str) -> int:
    """Have a certificate ordered now, and print what is served then."""
    with server.client() as client:
        answer = client.renew_certificate(name, author=author, reason=reason)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    one = answer.certificate
    print(f"renewed: {one.name} has a certificate from {one.issuer} until {moment(one.not_after)}")
    return OK


def tried(server: Server, name: str, *, author: str, reason: str) -> int:
    """Have a whole order made, and print what it came to."""
    with server.client() as client:
        answer = client.try_certificate(name, author=author, reason=reason)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    names = ", ".join(answer.certificate.names)
    print(f"it works: {answer.directory} has issued a certificate for {names}, which was thrown away")
    return OK


def state(one: pb.Certificate) -> str:
    """Return in one word how a certificate is."""
    if not one.issuer:
        return "ordering" if one.ordering and not one.error else "waiting"
    return "failing" if one.error else "ordering" if one.ordering else "valid"


def _row(one: pb.Certificate) -> tuple[str, ...]:
    return (
        one.name,
        state(one),
        one.issuer or "-",
        moment(one.not_after),
        _renewal(one),
        str(one.failures),
        " ".join(one.error.split()) or "-",
    )


def _renewal(one: pb.Certificate) -> str:
    return moment(one.renewal) if one.HasField("renewal") else _SOON
