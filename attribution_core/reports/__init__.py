"""Files to take away: a report of one answer, of a scan, and the ledger of credits."""
