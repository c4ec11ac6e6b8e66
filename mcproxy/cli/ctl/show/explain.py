"""The decisions about a connection or request, as the server takes them."""

from typing import TYPE_CHECKING

from mcproxy import api
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_steps
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, place

if TYPE_CHECKING:  # slow to import
    from mcproxy.client import Moment
    from mcproxy.policy.explain.query import Query


def explain(server: Server, query: "Query", *, probe: bool, at: "Moment | None") -> int:
    """Print what the data plane does with a connection, or did, what decides each step, and what its backend says if it is dialed."""
    with server.client() as client:
        answer = client.explain(
            listener=query.listener or "",
            sni=query.sni,
            ip=query.ip or "",
            proxy_ip=query.proxy_ip or "",
            alpn=query.alpn or (),
            method=query.method or "",
            path=query.path or "",
            headers=query.headers,
            client_cert=query.client_cert,
            probe=probe,
            at=at,
        )
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        if answer.HasField("then"):
            then = answer.then
            why = "; ".join(filter(None, (then.author and f"by {then.author}", then.label)))
            print(
                f"generation {then.generation} ({then.origin}), since {moment(then.time)}{f': {why}' if why else ''}\n"
            )
        print_steps((step.step, step.outcome, step.detail, place(step.decided_by)) for step in answer.steps)
        for note in answer.notes:
            print(f"note: {note}")
    return OK
