"""Places in lists, as text that clients send back."""

from __future__ import annotations

import base64
import binascii

from ..errors import InputError


def cursor(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def opened(cursor: str) -> str:
    """Raises InputError."""
    try:
        text = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(text, b"-_", validate=True).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise unknown() from None


def unknown() -> InputError:
    return InputError("the cursor is not one of this list.", "Begin without one.")
