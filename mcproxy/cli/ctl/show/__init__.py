"""What the commands of `mcproxyctl` print that look at what runs."""
