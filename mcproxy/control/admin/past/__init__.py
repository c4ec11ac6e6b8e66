"""The admin API's methods about earlier generations."""
