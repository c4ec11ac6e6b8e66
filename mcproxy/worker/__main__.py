"""`python -m mcproxy.worker`."""

from mcproxy.worker.main import main

main()
