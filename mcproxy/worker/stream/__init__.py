"""One request and its response, and the connections it runs over."""
