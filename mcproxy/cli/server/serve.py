"""`mcproxy serve`."""

import sys
from pathlib import Path

from mcproxy.errors import ConfigError
from mcproxy.net import log_stream

_FLUSH_TIME = 0.5  # seconds to write the last log lines to standard error


def serve(config: Path, *, last_good: bool) -> int:
    """Serve a config file; return the exit status. An invalid file is reported and serves nothing, without ``last_good``."""
    log_stream.ensure_standard_descriptors()
    stream = log_stream.install()
    from mcproxy.control.main import serve as serve_file  # noqa: PLC0415 - it may open files that stay open

    try:
        return serve_file(config, last_good=last_good)
    except ConfigError as error:
        print(f"{error}\nmcproxy: {config}: nothing is served: correct the file and start again", file=sys.stderr)
        return 1
    finally:
        stream.finish(_FLUSH_TIME)
