#ifndef MCP_VERSION_H
#define MCP_VERSION_H

#define MCP_API __attribute__((visibility("default")))

// What tells these sources from others: the caller must not use a library of any other.
MCP_API const char *mcp_build(void);

#endif
