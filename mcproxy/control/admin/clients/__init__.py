"""What the admin API is asked about clients: their connections, and why they were refused."""
