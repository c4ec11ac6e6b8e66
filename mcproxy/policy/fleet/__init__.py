"""What nodes of a fleet decide, by what its store holds: what to run, what a push, an edit and a rollout come to."""
