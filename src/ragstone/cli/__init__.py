"""The command line: it calls `KnowledgeBase` and shows what comes back."""
