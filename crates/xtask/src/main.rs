//! Checks of the workspace itself: tidy, licences, benches.
fn main() {}
