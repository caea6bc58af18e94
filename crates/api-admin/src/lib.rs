//! The operator's door: resources, flows, tasks, receipts and accounts as plain JSON for the command line.
