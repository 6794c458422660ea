"""The command line as fixtures."""

from command_line import documents, environ, ragstone

__all__ = ["documents", "environ", "ragstone"]
