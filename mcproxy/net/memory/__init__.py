"""The shared memory: its layout, counters, limits and histograms."""
