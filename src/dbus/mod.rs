//! The door: D-Bus interfaces over the service, callers' identities, error names. Thin: no decision is made here.

mod account;
mod agents;
mod audit;
mod bus;
mod door;
mod drill;
mod error;
mod health;
mod keys;
mod listen;
mod listing;
mod logind;
mod manager;
pub mod names;
mod objects;
mod operation;
mod options;
mod paths;
mod pipe;
mod policy;
mod prompter;
pub mod proxy;
mod request;
mod socket;
mod token;
mod vault;

pub use bus::{Bus, serve};
pub use door::House;
pub use listen::Listener;
pub use logind::follow_logind;
