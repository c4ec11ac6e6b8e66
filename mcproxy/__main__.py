"""The command `mcproxy`, also as `python -m mcproxy`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    if sys.argv[1:2] == ["serve"]:
        from mcproxy.net import held_signals  # noqa: PLC0415 - no other command needs it

        held_signals.hold()  # before all imports that take time
    from mcproxy.cli.server.app import main as command  # noqa: PLC0415 - see above

    command()


if __name__ == "__main__":
    main()
