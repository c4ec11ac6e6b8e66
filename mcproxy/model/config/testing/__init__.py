"""`[[tests]]`: what the files ask of themselves."""
