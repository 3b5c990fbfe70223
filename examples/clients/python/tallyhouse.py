#!/usr/bin/env python3
"""A client of Tallyhouse, written against its OpenAPI document with the standard library alone.

    python3 tallyhouse.py --url http://127.0.0.1:8080 load tests/data/flights-sample.ndjson
    python3 tallyhouse.py --url http://127.0.0.1:8080 totals IAH

Or `from tallyhouse import Client`. A key is taken from TALLYHOUSE_KEY. Temporary failures are retried: a record that was processed
is recognised, so a repeat changes nothing. Values are sent as `decimal.Decimal`, `int` or `str`, never as floats. Sums are read as
texts: make `decimal.Decimal` of them.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import itertools
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from decimal import Decimal
from typing import TypedDict

# How many records go into one request: enough to make its overhead small, few enough to be sent again.
CHUNK = 1000
# Most attempts of a call, and the longest wait between them if the service does not say how long.
TRIES = 10
WAIT_SECONDS_MAX = 10
# Statuses of temporary failures: the request may be sent again.
REPEATABLE = (429, 500, 502, 503, 504)


class Problem(Exception):
    """The service refused a call: a problem document (RFC 9457)."""

    def __init__(self, status, document):
        super().__init__(f"{status} {document.get('type', '')} {document.get('detail', '')}".strip())
        self.status, self.document = status, document


class Record(TypedDict):
    """A record, as it is sent: the schema `Record`."""

    recordId: str
    time: str
    sourceId: str
    destinationId: str
    type: str
    value: Decimal | int | str
    unit: str
    reference: str


def to_json(record: Record) -> str:
    """Writes a record in one line, its value to the last digit. Raises TypeError for a float, which has lost digits already."""
    if isinstance(record, dict) and isinstance(record.get("value"), float):
        raise TypeError(f"the value of {record.get('recordId')} is a float: give a decimal.Decimal, an int or a str")
    return json.dumps(record, default=_decimal)


def _decimal(value):
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def from_json(line: str) -> Record:
    """Reads a record, its value to the last digit."""
    return json.loads(line, parse_float=Decimal)


class Client:
    def __init__(self, url: str, key: str | None = None, timeout: float = 60, tries: int = TRIES):
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url} does not begin with http:// or https://")
        self.url, self.key, self.timeout, self.tries = url.rstrip("/"), key, timeout, tries

    def write(self, record: Record):
        """Processes one record. Returns its result; a repeat is a success. Raises Problem for a conflict or a bad record."""
        return json.loads(self._call("POST", "/v1/records", to_json(record), "application/json")[0])

    def load(self, records):
        """Processes any number of records. Yields the refused ones with their results, and then the four counts."""
        counts = dict.fromkeys(["processed", "duplicates", "conflicts", "rejected"], 0)
        records = iter(records)
        while chunk := list(itertools.islice(records, CHUNK)):
            body = "".join(to_json(record) + "\n" for record in chunk)
            answer, _ = self._call("POST", "/v1/records/batch?results=failed", body, "application/x-ndjson")
            # Lines end in "\n" alone: `splitlines` would also split at a U+2028 within a name.
            *refused, last = (json.loads(line) for line in answer.split("\n") if line)
            yield from ((chunk[result["index"]], result) for result in refused)
            for name in counts:
                counts[name] += last[name]
        yield counts

    def records(self, **filters):
        """Yields the matching records, page by page: destinationId="IAH", start="2013-01-01T00:00:00Z" ..."""
        yield from self._pages("/v1/records", filters, "records")

    def groups(self, **filters):
        """Yields the destinations with their exact totals, without their records."""
        yield from self._pages("/v1/aggregates", {"records": "false", "limit": "500", **filters}, "groups")

    def messages(self, topic, after="0"):
        """Yields the messages of a topic after a position, and each page's position to go on from."""
        while True:
            page = json.loads(self._call("GET", f"/v1/{topic}?" + urllib.parse.urlencode({"after": after}))[0])
            if not page["messages"]:
                return
            after = page["next"]
            yield from ((message, after) for message in page["messages"])

    def _pages(self, path, filters, name):
        target = f"{path}?{urllib.parse.urlencode(filters)}"
        while target:
            body, headers = self._call("GET", target)
            yield from json.loads(body)[name]
            # Link: <?cursor=...>; rel="next"
            link = headers.get("Link")
            target = urllib.parse.urljoin(target, link[link.index("<") + 1 : link.index(">")]) if link else None

    def _call(self, method, target, body=None, media_type=None):
        for attempt in range(1, self.tries + 1):
            try:
                return self._once(method, target, body, media_type)
            except (Problem, OSError, http.client.HTTPException) as error:
                repeatable = not isinstance(error, Problem) or error.status in REPEATABLE
                if not repeatable or attempt == self.tries:
                    raise
                # Obey Retry-After; without it wait longer each time, with jitter so that clients do not retry all at once.
                wait = min(WAIT_SECONDS_MAX, 0.1 * 2**attempt) * random.uniform(0.5, 1)
                time.sleep(getattr(error, "retry_after", None) or wait)

    def _once(self, method, target, body, media_type):
        headers = {"Content-Type": media_type} if media_type else {}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else body.encode()
        request = urllib.request.Request(self.url + target, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
            is_problem = error.headers.get_content_type() == "application/problem+json"
            problem = Problem(error.code, json.loads(text) if is_problem else {"detail": text})
            problem.retry_after = int(error.headers.get("Retry-After") or 0)
            raise problem from None


class Line(dict):
    """A record of a file, with its place: `records.ndjson:12`."""

    def __init__(self, record, place):
        super().__init__(record)
        self.place = place


def read(path):
    """Yields the records of a file of NDJSON, which may be packed with gzip. Raises ValueError with the line that is no record."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    # A byte order mark is skipped, and lines end in "\n" alone.
    with (gzip.open if packed else open)(path, "rt", encoding="utf-8-sig", newline="\n") as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    record = from_json(line)
                    if not isinstance(record, dict):
                        raise ValueError("the line is not a JSON object")
                    yield Line(record, f"{path}:{number}")
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: the line is not JSON: {error.msg} at character {error.colno}") from None
        except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            # The line could not be read.
            raise ValueError(f"{path}:{number + 1}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None


def load(client, records):
    refused = False
    for entry in client.load(records):
        if isinstance(entry, tuple):
            record, result = entry
            print(f"{record.place}:", result["outcome"], result["recordId"], result["error"]["detail"], file=sys.stderr)
            refused = True
        else:
            print("  ".join(f"{name} {count}" for name, count in entry.items()))
    return 1 if refused else 0


def write(client, records):
    for record in records:
        try:
            print(client.write(record)["outcome"], record["recordId"])
        except Problem as problem:
            sys.exit(f"tallyhouse.py: {record.place}: {problem}")
    return 0


def totals(client, destination):
    empty = True
    for group in client.groups(destinationId=destination):
        for total in group["totals"]:
            empty = False
            print(group["destinationId"], total["unit"], total["count"], total["net"])
    if empty:
        print(f"tallyhouse.py: {destination} has no records", file=sys.stderr)
    return 0


def run(options):
    client = Client(options.url, os.environ.get("TALLYHOUSE_KEY"), tries=options.tries)
    if options.command == "totals":
        return totals(client, options.destination)
    return {"load": load, "write": write}[options.command](client, read(options.file))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", default="http://127.0.0.1:8080")
    arguments.add_argument("--tries", type=int, default=TRIES, help="how often a call is tried (default: %(default)s)")
    commands = arguments.add_subparsers(dest="command", required=True)
    for name, help in [("load", "send a file of NDJSON in batches; .gz, too"), ("write", "send it record by record")]:
        commands.add_parser(name, help=help).add_argument("file")
    commands.add_parser("totals", help="show the exact totals of a destination").add_argument("destination")
    options = arguments.parse_args()
    try:
        return run(options)
    except urllib.error.URLError as error:
        sys.exit(f"tallyhouse.py: {options.url} can't be reached: {error.reason}")
    except (Problem, OSError, ValueError, TypeError, http.client.HTTPException) as error:
        sys.exit(f"tallyhouse.py: {error}")


if __name__ == "__main__":
    sys.exit(main())
