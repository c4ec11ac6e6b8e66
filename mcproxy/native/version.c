// Which sources this library was compiled from; the builder defines MCP_BUILD.
#include "version.h"

const char *mcp_build(void)
{
	return MCP_BUILD;
}
