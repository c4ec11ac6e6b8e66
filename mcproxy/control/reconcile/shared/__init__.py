"""What is shared with the other nodes of a fleet: its edits, as this node has them and changes them."""
