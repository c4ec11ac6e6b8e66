"""`python -m mcproxy.cli.ctl`."""

from mcproxy.cli.ctl.app import main

main()
