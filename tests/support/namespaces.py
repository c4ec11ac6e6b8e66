"""Scripts that run as root in mount and process namespaces of their own: whatever they mount or start is gone with them."""

import os
import subprocess


def run_apart(script: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a bash script whose arguments are ``$1`` ..., in an environment that has nothing of this test but pip's settings.

    Args:
        script: the first command that fails ends it.
        arguments: for it.
        timeout: seconds for all of it; then `subprocess.TimeoutExpired` is raised.

    Returns:
        its exit status, and both outputs in one.
    """
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("bash", "-euo", "pipefail", "-c", script, "-", *arguments),
        ],
        env={
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))},
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "DEBIAN_FRONTEND": "noninteractive",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
