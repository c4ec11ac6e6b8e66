"""Whether a change has made its routes fail, and what is to be undone then."""
