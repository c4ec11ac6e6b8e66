"""`python -m mcproxy`: the same as the command `mcproxy`."""

from mcproxy.cli.server.app import main

if __name__ == "__main__":
    main()
