"""`mcproxy serve`."""

import sys
from pathlib import Path

from mcproxy.control.main import serve as serve_file
from mcproxy.errors import ConfigError


def serve(config: Path) -> int:
    """Serve a config file; return the exit status. An invalid file is reported and serves nothing."""
    try:
        return serve_file(config)
    except ConfigError as error:
        print(f"{error}\nmcproxy: {config}: nothing is served: correct the file and start again", file=sys.stderr)
        return 1
