"""What OpenSSL has beside what Python's ssl offers: settings of contexts, and keys of session tickets."""
