"""mcproxy: a TLS edge proxy that is configured by one TOML file.

The words used everywhere in this package:

* **listener**: an address clients connect to. **route**: on one listener, a hostname and the **backend** it leads to.
* **case**: some of a route's requests, by their **match**. **filter**: **guards**, which refuse, and **modifiers**, which change something.
  **scope**: the filters that hold in a place. **action**: where a request ends.
* **Config**: what the file says. **State**: what should run, all defaults filled in. **Plan**: the ordered
  difference of two States. **Snapshot**: the immutable copy of a State, with a **generation** number, that workers get. **revision**: a generation as the history keeps it.
* **control**: the process that reads the file, binds the sockets and supervises. **worker**: a process that moves bytes.
* **reconcile**: read everything again and make the live state equal the desired one (prepare, commit, retire).
* **peek**: look at received bytes without consuming them. **relay**: move bytes between two sockets.
* **watch**: the time in which the answers of what a change touches are judged. **withdrawn**: of a change, live and undone since.
* **drain**: accept no more, let what is open finish, within a limit.
"""

__version__ = "0.1.0"
