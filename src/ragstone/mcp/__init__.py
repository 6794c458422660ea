"""The MCP server: the knowledge base and its memory as tools, resources and prompts for agents."""
