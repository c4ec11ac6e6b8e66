"""The files that the configuration is made of and names: read, checked, watched."""
