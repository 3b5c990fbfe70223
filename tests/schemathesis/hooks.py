"""Teaches Schemathesis the body of a batch by lines."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """The document says that such a body is a text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", errors="surrogatepass")
