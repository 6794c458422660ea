"""The HTTP server: routes, accounts, and the bridge from the event loop to the knowledge base."""
