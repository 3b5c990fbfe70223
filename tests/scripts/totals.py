"""Adds up records (NDJSON, gzipped or not) with Python's exact integers, independently of Tallyhouse.

    python3 totals.py FILE [DESTINATION]

Writes the summary of one destination as JSON, or of all destinations by their names.
"""

import gzip
import json
import sys
from decimal import Context, Decimal, Inexact

EXACT = Context(prec=10_000, traps=[Inexact])


def plain(number):
    return format(number, "f")


def add(numbers):
    total = Decimal(0)
    for number in numbers:
        total = EXACT.add(total, number)
    return total


def summary(records):
    totals = []
    for unit in sorted({r["unit"] for r in records}, key=str.encode):
        sides = {}
        for side in ("positive", "negative"):
            values = [Decimal(r["value"]) for r in records if r["unit"] == unit and r["type"] == side]
            sides[side] = (len(values), add(values))
        (plus, gained), (minus, lost) = sides["positive"], sides["negative"]
        totals.append({
            "unit": unit,
            "count": plus + minus,
            "positive": {"count": plus, "sum": plain(gained)},
            "negative": {"count": minus, "sum": plain(lost)},
            "net": plain(EXACT.subtract(gained, lost)),
        })
    times = [r["time"] for r in records]
    return {
        "count": len(records),
        "firstTime": min(times, default=None),
        "lastTime": max(times, default=None),
        "totals": totals,
    }


def main(path, destination=None):
    opener = gzip.open if path.endswith(".gz") else open
    groups = {}
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            groups.setdefault(record["destinationId"], []).append(record)
    if destination is not None:
        result = summary(groups.get(destination, []))
    else:
        result = {name: summary(records) for name, records in groups.items()}
    json.dump(result, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
