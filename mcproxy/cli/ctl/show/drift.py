"""What differs from the files, and whose doing it is."""

from mcproxy import api
from mcproxy.cli.common.options import DIFFERS, OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, place, plain


def drift(server: Server) -> int:
    """Print what differs from the files; the exit status tells whether anything does."""
    with server.client() as client:
        answer = client.get_drift()
    if server.as_json:
        print_json([plain(api.to_builtins(difference)) for difference in answer.differences])
    elif answer.differences:
        print_table(
            ("DIFFERENCE", "FILE", "SINCE", "UNTIL", "REASON"),
            [
                (
                    difference.summary,
                    place(difference.origin) or "-",
                    moment(difference.edit.created),
                    moment(difference.edit.expires) if difference.edit.HasField("expires") else "until reverted",
                    difference.edit.reason or "-",
                )
                for difference in answer.differences
            ],
            [_STYLES.get(difference.action, "") for difference in answer.differences],
            drop=("REASON", "SINCE", "FILE"),
            wide=server.wide,
        )
    else:
        print("nothing differs from the files")
    return DIFFERS if answer.differences else OK


_STYLES = {"added": "green", "changed": "yellow", "removed": "red", "suspended": "dim"}
