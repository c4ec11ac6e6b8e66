"""Generated from proto/ by `just proto`; not written by hand."""
