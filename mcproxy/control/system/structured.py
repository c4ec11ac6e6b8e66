"""structlog without rich. The home of structlog.

Where rich is installed, structlog imports it, and pygments with it, for tracebacks that it can draw: 30 ms of every start, and
memory. The log has plain tracebacks.
"""

import sys
from types import ModuleType
from typing import cast

__all__ = ["structlog"]

_found = sys.modules.get("rich")
sys.modules["rich"] = cast("ModuleType", None)  # as where it is not installed: importing it is an ImportError
try:
    import structlog
finally:
    del sys.modules["rich"]
    if _found is not None:
        sys.modules["rich"] = _found
