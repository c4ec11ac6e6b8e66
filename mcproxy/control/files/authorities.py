"""CAs that vouch for clients and their lists of revoked certificates: what workers would refuse, and what would keep clients out."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from mcproxy.control.files.certificates import (
    Authority,
    CertificateError,
    Revocations,
    in_force,
    read_authorities,
    read_revocations,
)
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.loading import clients_refusal
from mcproxy.model.state.tls_options import TlsTerms

CRL_ENDS_SOON = timedelta(days=3)
"""How long before its end a CRL is warned of."""

Finding: TypeAlias = tuple[Literal["client_ca", "client_crl"], str, Literal["error", "warning"]]
"""The key whose file is at fault, what is wrong, and how much."""


def client_findings(terms: TlsTerms, now: datetime, contents: Contents) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about the files that clients' certificates are judged by.

    Args:
        terms: name the files; those that are "" are not looked at.
        now: timezone-aware.
        contents: reads them.
    """
    if not terms.client_ca:
        return
    try:
        authorities = read_authorities(contents.read(terms.client_ca))
    except (OSError, CertificateError) as error:
        yield "client_ca", _refused(terms.client_ca, error), "error"
        return
    yield from _authorities(terms.client_ca, authorities, now)
    crls: Sequence[Revocations] = ()
    if terms.client_crl:
        try:
            crls = read_revocations(contents.read(terms.client_crl))
        except (OSError, CertificateError) as error:
            yield "client_crl", _refused(terms.client_crl, error), "error"
            return
        yield from _revocations(terms, authorities, crls, now)
    refusal = clients_refusal(contents, terms.client_ca, terms.client_crl)
    if refusal is not None:
        yield "client_crl" if refusal[0] == "crl" else "client_ca", refusal[1], "error"


def _authorities(path: str, authorities: Sequence[Authority], now: datetime) -> Iterator[Finding]:
    subjects = {each.subject for each in authorities}
    for each in authorities:
        if not each.is_ca:
            whom = "it vouches for itself alone" if each.issuer == each.subject else "it can vouch for nobody"
            yield "client_ca", f"{path} holds {each.name}, which is no CA: {whom}", "warning"
        elif each.issuer not in subjects:
            message = (
                f"{path} holds the CA {each.name} without the one above it, {each.issuer_name}: nobody would be let in by it; "
                "add that, up to one that is self-signed"
            )
            yield "client_ca", message, "error"
        if each.not_after <= now:
            yield (
                "client_ca",
                f"{path}: the CA {each.name} expired on {_day(each.not_after)}: nobody is let in by it",
                "warning",
            )
        elif each.not_before > now:
            message = f"{path}: the CA {each.name} is valid from {_day(each.not_before)} only: until then nobody is let in by it"
            yield "client_ca", message, "warning"


def _revocations(
    terms: TlsTerms, authorities: Sequence[Authority], crls: Sequence[Revocations], now: datetime
) -> Iterator[Finding]:
    path = terms.client_crl
    for each in authorities:
        if not each.is_ca:
            continue
        own = [crl for crl in crls if crl.issuer == each.subject]
        if not own:
            message = f"{path} holds no CRL of the CA {each.name} in {terms.client_ca}: nobody would be let in by it"
            yield "client_crl", message, "error"
        elif not any(crl.is_signed_by(each) for crl in own):
            message = f"{path}: the CRL of {each.name} is not signed by the CA of this name in {terms.client_ca}"
            yield "client_crl", message, "error"
        elif not each.signs_crls:
            message = (
                f"{path}: the CA {each.name} may not sign CRLs, as its keyUsage says: nobody would be let in by it"
            )
            yield "client_crl", message, "error"
    for crl in in_force(crls):
        end = crl.next_update
        if crl.last_update > now:
            message = f"{path}: the CRL of {crl.name} is valid from {_day(crl.last_update)} only: until then nobody is let in by that CA"
            yield "client_crl", message, "warning"
        elif end is not None and end <= now:
            message = f"{path}: the CRL of {crl.name} ended on {_day(end)}: nobody is let in by that CA until there is a newer one"
            yield "client_crl", message, "warning"
        elif end is not None and end - now < CRL_ENDS_SOON:
            message = f"{path}: the CRL of {crl.name} ends on {_day(end)}: then nobody is let in by that CA until there is a newer one"
            yield "client_crl", message, "warning"


def _refused(path: str, error: OSError | CertificateError) -> str:
    return f"{path} can't be read: {error.strerror}" if isinstance(error, OSError) else f"{path} {error}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
