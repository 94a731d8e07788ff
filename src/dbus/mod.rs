//! The door: D-Bus interfaces over the service, callers' identities, error names. Thin: no decision is made here.

pub mod names;
pub mod proxy;
