"""The command `mcproxy`, also as `python -m mcproxy`."""

import gc
import os
import sys
from typing import NoReturn

import mcproxy


def main() -> NoReturn:
    """Run the command line and exit."""
    if sys.argv[1:2] == ["serve"]:
        gc.disable()  # modules are no garbage: looking for some takes a twentieth of the start; control enables it
        _stay_with_this_version()
        from mcproxy.net.process import held_signals  # noqa: PLC0415 - no other command needs it

        held_signals.hold()  # before all imports that take time
    from mcproxy.cli.server.app import main as command  # noqa: PLC0415 - see above

    command()


def _stay_with_this_version() -> None:
    """Import what is still to be imported from where everything is now, should an upgrade move a symbolic link."""
    mcproxy.__path__[:] = map(os.path.realpath, mcproxy.__path__)
    sys.path[:] = [os.path.realpath(folder) if folder else folder for folder in sys.path]
    folder, name = os.path.split(sys.executable)
    sys.executable = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118 - the name stays: a venv is found by it


if __name__ == "__main__":
    main()
