"""Puts the native core into wheels: compiled where there is a C compiler; else the wheel is pure, and says why.

The variable MCPROXY_WHEEL_PLATFORM makes a wheel for another machine, or for many: `manylinux_2_17_aarch64`, for instance. It needs
the package `ziglang`, whose compiler has the C libraries of other machines; `just wheels` does it.
"""

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLATFORM = "MCPROXY_WHEEL_PLATFORM"


class NativeCore(BuildHookInterface):  # type: ignore[type-arg]  # hatchling is generic in its own configuration
    """The build hook of wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library; `version` is "editable" or "standard", and `build_data` tells hatchling what to add."""
        sys.path.insert(0, self.root)
        from mcproxy.errors import NativeCoreError  # noqa: PLC0415 - it is found from here on
        from mcproxy.net.native import building, sources  # noqa: PLC0415

        folder = Path(self.root, "mcproxy", "native")
        wanted = os.environ.get(PLATFORM, "")
        self._scratch = tempfile.TemporaryDirectory(prefix="mcproxy-build-")
        try:
            command, machine = _cross_compiler(wanted) if wanted else (building.compiler(), "")
            if version == "editable":
                building.build(command, folder)
                return
            library = Path(self._scratch.name, sources.file_name(folder, machine))
            building.compile_to(library, command, folder)
        except NativeCoreError as error:
            if wanted:
                raise
            self.app.display_warning(f"mcproxy comes without its native core, so Python does everything: {error}")
            if version != "editable":
                reason = Path(self._scratch.name, sources.NOT_BUILT)
                reason.write_text(f"{error}\n", encoding="utf-8")
                build_data["force_include"][str(reason)] = f"mcproxy/native/{reason.name}"
            return
        build_data["force_include"][str(library)] = f"mcproxy/native/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{wanted or re.sub('[-.]', '_', sysconfig.get_platform())}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface
        """Remove what the wheel has by now."""
        self._scratch.cleanup()


def _cross_compiler(platform: str) -> tuple[list[str], str]:
    """Return the command that compiles for a platform as wheels name it, and the machine."""
    found = re.fullmatch(r"manylinux_(\d+)_(\d+)_(x86_64|aarch64)", platform)
    if not found:
        raise ValueError(f"{PLATFORM}={platform}: not of the form manylinux_2_17_x86_64")
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{found[3]}-linux-gnu.{found[1]}.{found[2]}"], found[3]
