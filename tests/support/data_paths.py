"""Which data path the proxies of a test relay on, where their config leaves it to them."""

from collections.abc import Mapping

from mcproxy.net.native.library import VARIABLE

NO_CORE: Mapping[str, str] = {VARIABLE: "/nowhere/core.so"}
"""The environment of a machine where the native core can't be had."""
DATA_PATHS: Mapping[str, Mapping[str, str]] = {"native": {}, "python": NO_CORE}
"""What proxies find in their environment, by the data path that they take then."""
