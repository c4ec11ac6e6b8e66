/* What the library was compiled from, and how its structures are laid out. */
#include "core.h"

#ifndef MCP_BUILD
#define MCP_BUILD "unknown"
#endif

MCP_API const char *mcp_build(void)
{
    return MCP_BUILD;
}

MCP_API void mcp_sizes(uint32_t sizes[7])
{
    sizes[0] = sizeof(struct mcp_record);
    sizes[1] = sizeof(struct mcp_state);
    sizes[2] = sizeof(struct mcp_settings);
    sizes[3] = sizeof(struct mcp_listener_setup);
    sizes[4] = sizeof(struct mcp_upstream_setup);
    sizes[5] = sizeof(struct mcp_endpoint);
    sizes[6] = sizeof(struct mcp_route);
}
