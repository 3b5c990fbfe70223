"""Tries the client that openapi-python-client makes: python try.py URL."""

import datetime
import sys

from tallyhouse_client import Client
from tallyhouse_client.api.alert_rules import put_alert_rule
from tallyhouse_client.api.messages import read_notifications
from tallyhouse_client.api.reading import read_aggregates
from tallyhouse_client.api.writing import write_record
from tallyhouse_client.models import (
    ConflictAnswer,
    Processed,
    Record,
    RecordType,
    ShownTotalRule,
    TotalRuleDraft,
    UnitTotal,
    WrittenRecord,
)

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)


def flight(value):
    return Record(
        record_id="by-python",
        time=datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.timezone.utc),
        source_id="UA",
        destination_id="Python",
        type_=RecordType.POSITIVE,
        value=value,
        unit="minute",
        reference="",
    )


written = write_record.sync(client=client, body=flight("0.10"))
assert isinstance(written, Processed) and written.sequence == 1, written
conflict = write_record.sync(client=client, body=flight("2"))
assert isinstance(conflict, ConflictAnswer) and [str(field) for field in conflict.differs] == ["value"], conflict

page = read_notifications.sync(client=client, limit=1000)
records = [message.data.record for message in page.messages if message.id == "by-python"]
assert isinstance(records[0], WrittenRecord) and records[0].value == "0.10", records

totals = read_aggregates.sync(client=client, destination_id="Python", records=False).groups[0].totals
assert isinstance(totals[0], UnitTotal) and totals[0].net == "0.10", totals

rule = put_alert_rule.sync(client=client, name="by-python", body=TotalRuleDraft(threshold="100", on="total", unit="minute"))
assert isinstance(rule, ShownTotalRule) and rule.threshold == "100", rule
