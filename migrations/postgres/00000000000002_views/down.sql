DROP VIEW tallyhouse_totals;
DROP VIEW tallyhouse_records;
