//! Runs tasks: splits, journal, ledger, receipts, adaptive lanes. Knows no HTTP and no SQL.
