"""`mcproxy serve`."""

import os
import sys
from pathlib import Path

from mcproxy.cli.common.output import print_problems
from mcproxy.errors import ConfigError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.net import log_stream

_FLUSH_TIME = 0.5  # seconds to write the last log lines to standard error


def serve(config: Path, *, last_good: bool, strict_tests: bool, managed: bool) -> int:
    """Serve a config file; return the exit status. An invalid file is reported and serves nothing, without ``last_good``."""
    log_stream.ensure_standard_descriptors()
    stream = log_stream.install()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its words beside the log: errors there say the same
    from mcproxy.control.main import serve as serve_file  # noqa: PLC0415 - it may open files that stay open

    try:
        return serve_file(config, last_good=last_good, strict_tests=strict_tests, managed=managed)
    except ConfigError as error:
        problems = tuple(problem for problem in error.problems if isinstance(problem, Problem))
        sources = tuple(source for source in error.sources if isinstance(source, Source))
        print_problems(problems, sources, sys.stderr)
        print(f"mcproxy: {config}: nothing is served: correct the file and start again", file=sys.stderr)
        return 1
    finally:
        stream.finish(_FLUSH_TIME)
