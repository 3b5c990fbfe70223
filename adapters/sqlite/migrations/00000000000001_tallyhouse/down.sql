DROP TABLE leases;
DROP TABLE owed;
DROP TABLE summaries;
DROP TABLE records;
