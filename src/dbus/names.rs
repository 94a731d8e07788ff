//! Names and paths of the API, for both sides of the door.

/// What stands in a token's place for the recovery code.
pub use crate::token::recovery::RECOVERY as RECOVERY_ID;

/// The well-known name on a bus.
pub const BUS_NAME: &str = "org.rootseal.Daemon";
/// The manager.
pub const MANAGER_PATH: &str = "/org/rootseal";
/// The vault.
pub const VAULT_PATH: &str = "/org/rootseal/vault";
/// Tokens live below this path.
pub const TOKENS_PATH: &str = "/org/rootseal/tokens";
/// Accounts live below this path.
pub const ACCOUNTS_PATH: &str = "/org/rootseal/accounts";
/// Operations live below this path.
pub const OPERATIONS_PATH: &str = "/org/rootseal/operations";
/// Where the command line serves its agent.
pub const AGENT_PATH: &str = "/org/rootseal/agent";
/// What the ids of tokens begin with that make one-time codes, and are no keyslots.
pub const OATH_ID: &str = "oath_";
/// What the names of our errors begin with.
pub const ERROR_PREFIX: &str = "org.rootseal.Error.";

/// Interface of the manager.
pub const MANAGER_INTERFACE: &str = "org.rootseal.Manager1";
/// Interface of an account.
pub const ACCOUNT_INTERFACE: &str = "org.rootseal.Account1";
/// Interface of a token.
pub const TOKEN_INTERFACE: &str = "org.rootseal.Token1";
/// Interface of a client's agent.
pub const AGENT_INTERFACE: &str = "org.rootseal.Agent1";
