"""What is kept of earlier generations, and what that says of each resource."""
