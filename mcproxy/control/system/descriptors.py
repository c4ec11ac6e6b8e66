"""How many descriptors what control serves may use, so that enough are left for workers and everything else."""

import resource

_SHARE = 8  # each service may use one part of so many
_LEAST = 16


def share(most: int) -> int:
    """Return how many connections a service may have at a time, ``most`` if the system grants enough descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else min(most, max(_LEAST, soft // _SHARE))
