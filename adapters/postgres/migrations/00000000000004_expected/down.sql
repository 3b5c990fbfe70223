DROP FUNCTION write_behind;
DROP FUNCTION write_expected;
DROP FUNCTION write_end;
DROP FUNCTION write_summaries;
DROP FUNCTION write_records;
DROP FUNCTION read_known;
