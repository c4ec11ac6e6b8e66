"""Decisions about the endpoints of upstreams: which one is next, and which ones may be chosen at all.

- **index**: the stable number of an endpoint, by which all name it. **word**: what control says of it, in shared memory
  (`words`): its *verdict*, and how much of its share is *withheld*.
- **usable**: the verdict lets new connections and requests go there. What an operator says of an endpoint (ready, drain,
  maintenance) is part of the configuration, and only those that are ready take part in a choice.
- **share**: the part of its weight that an endpoint gets, less than all of it while it starts slowly.
- **panic**: no endpoint is usable, and all that are ready are used in spite of that.
"""
