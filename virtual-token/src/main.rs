//! A security token in software, for tests and demonstrations.
fn main() {}
