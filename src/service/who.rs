//! A request's people: the caller, and those who may answer for it.

use super::caller::Caller;
use crate::token::prompter::Prompter;

/// Who wants it, and how to reach the people behind them.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    pub(super) caller: &'a Caller,
    pub(super) prompter: &'a dyn Prompter,
    /// The token that they named.
    pub(super) token: Option<&'a str>,
    /// Others that wait for the same and are named in the prompt.
    pub(super) others: &'a (dyn Fn() -> Vec<String> + Send + Sync),
}

impl<'a> Who<'a> {
    /// A caller that waits alone.
    pub fn new(caller: &'a Caller, prompter: &'a dyn Prompter, token: Option<&'a str>) -> Self {
        Self { caller, prompter, token, others: &Vec::new }
    }
}
