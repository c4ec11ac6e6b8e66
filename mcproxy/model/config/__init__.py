"""The file's shape, read and judged."""
