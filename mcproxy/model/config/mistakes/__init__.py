"""What people write by mistake into config files, and what they may have meant; pure functions on words and texts."""
