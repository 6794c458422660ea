"""Work that is promised now and done later: a durable queue, uploads that wait in it, and the workers."""
