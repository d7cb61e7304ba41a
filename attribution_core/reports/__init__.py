"""Results in words, and files to take away: a report of one answer, a scan, and the ledger of credits."""
