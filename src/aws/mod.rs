//! What AWS must be told and what it answers: key files, Query-API requests and their signatures (SigV4),
//! replies, and the JSON of `credential_process`.
//!
//! No I/O and no clock enter this room: requests leave it signed, replies come in as bytes, times are
//! arguments. Only the requests in the registry of `request/mod.rs` can be signed, and host, path and headers of each
//! are made here from checked types.

mod account;
mod endpoint;
mod error;
mod partition;
mod process;
mod request;
mod response;
mod rootkey;
mod signed;
mod signing;
mod time;
mod xml;

pub use account::{AccessKeyId, AccountId, MfaSerial};
pub use endpoint::Endpoint;
pub use error::{AwsError, Error};
pub use partition::{Partition, Region};
pub use process::{KeyPair, credential_process};
pub use request::{GetSessionToken, Principal, Request, Service, SessionDuration};
pub use response::{MAX_REPLY, Session, session};
pub use rootkey::{MAX_CSV, read_csv};
pub use signed::SignedRequest;
pub use signing::Signer;
pub use time::{parse_http_date, rfc3339};
