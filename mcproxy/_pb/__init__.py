"""Generated from proto/mc_proxy/v1/admin.proto by `just proto`; not written by hand."""
