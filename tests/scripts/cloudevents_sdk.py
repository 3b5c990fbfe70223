"""Reads CloudEvents (JSON, structured mode, one a line from standard input) by the SDK of the CloudEvents project, and
writes what it understood as JSON, one a line. The SDK refuses what breaks the specification.
"""

import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

HEADERS = {"content-type": "application/cloudevents+json"}

for line in sys.stdin.buffer:
    event = from_http_event(HTTPMessage(HEADERS, line))
    json.dump({
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "specversion": event.get_specversion(),
        "subject": event.get_subject(),
        "time": event.get_time().isoformat(),
        "datacontenttype": event.get_datacontenttype(),
        "position": event.get_extension("position"),
        "data": event.get_data(),
    }, sys.stdout)
    print()
