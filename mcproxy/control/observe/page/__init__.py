"""The status page: what it shows as plain structs, made by pure functions of what is known, and these as HTML or JSON."""
