"""Routes whose certificates a CA issues: joins what is live with what orders them."""
