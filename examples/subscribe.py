#!/usr/bin/env python3
"""Subscribes to the notifications or the alerts of Tallyhouse, and notices repeats and gaps.

    pip install redis
    python3 subscribe.py notifications --redis redis://127.0.0.1:6379 --http http://127.0.0.1:8080

Redis pub/sub delivers a message only to connected subscribers, so a disconnected one misses some. This subscriber catches up over HTTP
after every (re)connect, and at intervals while it listens. It drops repeats by `source` and `id`. A key for
HTTP is taken from TALLYHOUSE_KEY.
"""

import argparse
import collections
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import redis

# A gap counts only if it lasts: instances publish concurrently, so a later message may briefly overtake an earlier one.
GAP_SECONDS = 5
# How long it listens by default before it catches up again. Only catching up moves its position: a message that is pushed may have overtaken one
# that is still to come, which a reader that went on behind it would miss.
CATCH_UP_SECONDS = 30
# How many ids are remembered, to notice repeats. Repeats come soon after the first, so a bounded memory is enough.
IDS_MAX = 1_000_000


# Responses that a later attempt may not have: the service is busy, or can't answer now.
TEMPORARY = (408, 429)


class Repeats:
    """Remembers the messages seen, by the identity of a CloudEvent: source and id."""

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
        # Messages before the first one seen do not count as missing.
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


class Subscriber:
    """Handles each message once, and keeps the position to go on from."""

    def __init__(self, options):
        self.topic, self.http, self.position = options.topic, options.http, options.after
        self.pause = options.catch_up_seconds
        self.key = os.environ.get("TALLYHOUSE_KEY")
        self.repeats, self.gaps = Repeats(), Gaps()

    def handle(self, event, is_pushed):
        if self.repeats.is_repeat(event):
            # Most messages read over HTTP were pushed before, so only a pushed repeat is reported.
            if is_pushed:
                print("repeat", event["id"], flush=True)
            return
        # An alert has the sequence of its record, and most records have none: only notifications show a gap.
        if self.topic == "notifications":
            self.gaps.note(event)
        print(event["type"], event["id"], event["data"]["sequence"], flush=True)

    def catch_up(self):
        """Handles all messages after the position. Starts over where the history has changed."""
        while self.http:
            try:
                page = self.page()
            except urllib.error.HTTPError as error:
                if error.code != 410 or self.position == "0":
                    raise
                # The database was taken back to an earlier state, as when a backup is restored.
                print("the history has changed since", self.position, "- starting over", flush=True)
                self.position, self.gaps = "0", Gaps()
                continue
            for event in page["messages"]:
                self.handle(event, is_pushed=False)
            if page["next"] == self.position:
                return
            self.position = page["next"]

    def page(self):
        query = urllib.parse.urlencode({"after": self.position, "limit": 1000})
        request = urllib.request.Request(f"{self.http}/v1/{self.topic}?{query}")
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def listen(self, subscription):
        """Handles pushed messages, until it is time to catch up again."""
        until = time.monotonic() + self.pause
        while time.monotonic() < until:
            message = subscription.get_message(timeout=1)
            if message:
                self.handle(json.loads(message["data"]), is_pushed=True)
            for (destination, reference), first, last in self.gaps.lasting():
                print(f"gap {destination!r} {reference!r}: {first} to {last} are missing", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("topic", choices=["notifications", "alerts"])
    arguments.add_argument("--redis", default="redis://127.0.0.1:6379")
    arguments.add_argument("--http", help="where to catch up; without it, what was missed is only reported")
    arguments.add_argument("--prefix", default="tallyhouse")
    arguments.add_argument("--after", default="0", help="the position to catch up from")
    arguments.add_argument("--catch-up-seconds", type=float, default=CATCH_UP_SECONDS, help="how often it catches up while it listens")
    options = arguments.parse_args()

    subscriber = Subscriber(options)
    while True:
        try:
            with redis.Redis.from_url(options.redis).pubsub(ignore_subscribe_messages=True) as subscription:
                subscription.subscribe(f"{options.prefix}:{options.topic}")
                # First listen, then catch up, so that no message falls in between; a message that comes both ways is a repeat.
                subscription.get_message(timeout=5)
                while True:
                    subscriber.catch_up()
                    subscriber.listen(subscription)
        except urllib.error.HTTPError as error:
            reason = f"{error}: {error.read(65_536).decode(errors='replace')}"
            # A fault of the request stays one, however often it is sent.
            if error.code < 500 and error.code not in TEMPORARY:
                raise SystemExit(reason) from None
            print("reconnecting:", reason, flush=True)
            time.sleep(1)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            print("reconnecting:", error, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
