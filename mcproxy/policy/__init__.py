"""Pure decisions (which route, allowed or not, and why). Time is an argument."""
