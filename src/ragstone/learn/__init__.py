"""From a transcript that grows to what is worth remembering of it."""
