DROP FUNCTION write_batch;
DROP FUNCTION lock_and_read;
DROP TABLE leases, owed, batches, summaries, records;
DROP SEQUENCE slots;
