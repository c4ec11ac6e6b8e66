"""What a node of a fleet says in its own file, and what it leaves to the fleet's document."""
