"""What is wrong or doubtful beyond single values: keys, tables and files against each other."""
