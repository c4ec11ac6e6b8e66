"""`mcproxy serve`."""

import sys
from pathlib import Path

from mcproxy.control.main import serve as serve_file
from mcproxy.errors import ConfigError


def serve(config: Path, *, last_good: bool) -> int:
    """Serve a config file; return the exit status. An invalid file is reported and serves nothing, without ``last_good``."""
    try:
        return serve_file(config, last_good=last_good)
    except ConfigError as error:
        print(f"{error}\nmcproxy: {config}: nothing is served: correct the file and start again", file=sys.stderr)
        return 1
