//! The wharf binary: configuration, command line, wiring.
fn main() {}
