"""What is made of the declarations of the config file, for people and for editors."""
