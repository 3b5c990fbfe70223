#!/usr/bin/env python3
"""Subscribes to the notifications or the alerts of Tallyhouse, and notices repeats and gaps.

    pip install redis
    python3 subscribe.py notifications --redis redis://127.0.0.1:6379 --http http://127.0.0.1:8080

Redis pub/sub hands a message to whoever listens at that moment, so a subscriber that was away has missed some. After every
(re)connect this one catches up over HTTP from the last position it knows, and what comes twice it drops by `source` and `id`.
"""

import argparse
import collections
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import redis

# A gap is one that stays: instances publish side by side, so a later message may overtake an earlier one for a moment.
GAP_SECONDS = 5
# How many ids are remembered, to notice repeats. Repeats come soon after the first, so a bounded memory is enough.
IDS_MAX = 1_000_000


class Repeats:
    """Remembers which messages were seen, by what identifies a CloudEvent."""

    def __init__(self):
        self.seen = collections.OrderedDict()

    def is_repeat(self, event):
        key = (event["source"], event["id"])
        if key in self.seen:
            return True
        self.seen[key] = None
        if len(self.seen) > IDS_MAX:
            self.seen.popitem(last=False)
        return False


class Gaps:
    """Follows the sequence of each destination and reference: 1, 2, 3 ... without a gap."""

    def __init__(self):
        self.next = {}  # key -> the sequence that comes next
        self.ahead = collections.defaultdict(dict)  # key -> sequence -> when it came

    def note(self, event):
        record, sequence = event["data"]["record"], event["data"]["sequence"]
        key = (record["destinationId"], record["reference"])
        # What was before the first message that we see is not ours to miss.
        expected = self.next.setdefault(key, sequence)
        if sequence >= expected:
            self.ahead[key][sequence] = time.monotonic()
        while self.next[key] in self.ahead[key]:
            del self.ahead[key][self.next[key]]
            self.next[key] += 1
        if not self.ahead[key]:
            del self.ahead[key]

    def lasting(self):
        """Yields (key, first missing, last missing) once for each gap that stays, and goes on behind it."""
        for key, ahead in list(self.ahead.items()):
            first = min(ahead)
            if time.monotonic() - ahead[first] > GAP_SECONDS:
                yield key, self.next[key], first - 1
                self.next[key] = first
                while self.next[key] in ahead:
                    del ahead[self.next[key]]
                    self.next[key] += 1
                if not ahead:
                    del self.ahead[key]


def catch_up(http, topic, after):
    """Yields the messages after a position, and the position after each page. Starts over where the history has changed."""
    while True:
        try:
            query = urllib.parse.urlencode({"after": after, "limit": 1000})
            with urllib.request.urlopen(f"{http}/v1/{topic}?{query}", timeout=10) as answer:
                page = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 410:
                raise
            # The database was taken back to an earlier state, as when a backup is restored.
            print("the history has changed since", after, "- starting over", flush=True)
            after = "0"
            continue
        yield page["messages"], page["next"]
        if page["next"] == after:
            return
        after = page["next"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("topic", choices=["notifications", "alerts"])
    arguments.add_argument("--redis", default="redis://127.0.0.1:6379")
    arguments.add_argument("--http", help="where to catch up; without it, what was missed is only reported")
    arguments.add_argument("--prefix", default="tallyhouse")
    arguments.add_argument("--after", default="0", help="the position to catch up from")
    options = arguments.parse_args()

    repeats, gaps, position = Repeats(), Gaps(), options.after

    def handle(event):
        nonlocal position
        # Where to catch up from after the next break.
        position = event.get("position", position)
        if repeats.is_repeat(event):
            return print("repeat", event["id"], flush=True)
        # An alert has the sequence of its record, and most records have none: only notifications show a gap.
        if options.topic == "notifications":
            gaps.note(event)
        print(event["type"], event["id"], event["data"]["sequence"], flush=True)

    while True:
        try:
            subscription = redis.Redis.from_url(options.redis).pubsub(ignore_subscribe_messages=True)
            subscription.subscribe(f"{options.prefix}:{options.topic}")
            # First listen, then catch up: nothing falls in between, and what comes both ways is a repeat.
            subscription.get_message(timeout=5)
            if options.http:
                for messages, position in catch_up(options.http, options.topic, position):
                    for event in messages:
                        handle(event)
            while True:
                message = subscription.get_message(timeout=1)
                if message:
                    handle(json.loads(message["data"]))
                for (destination, reference), first, last in gaps.lasting():
                    print(f"gap {destination!r} {reference!r}: {first} to {last} are missing", flush=True)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            print("reconnecting:", error, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
