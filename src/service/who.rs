//! A request's people: the caller, and those who may answer for it.

use super::caller::Caller;
use super::locks::is_named;
use crate::token::prompter::Prompter;
use crate::token::recovery::RECOVERY;
use std::collections::HashSet;

/// Who wants it, and how to reach the people behind them.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    pub(super) caller: &'a Caller,
    pub(super) prompter: &'a dyn Prompter,
    /// The tokens that they named, with commas between several; among them perhaps the recovery code.
    pub(super) token: Option<&'a str>,
    /// Others that wait for the same and are named in the prompt.
    pub(super) others: &'a (dyn Fn() -> Vec<String> + Send + Sync),
}

impl<'a> Who<'a> {
    /// A caller that waits alone.
    pub fn new(caller: &'a Caller, prompter: &'a dyn Prompter, token: Option<&'a str>) -> Self {
        Self { caller, prompter, token, others: &Vec::new }
    }

    /// Whether they have the recovery code, in a token's place or besides.
    pub(super) fn has_code(&self) -> bool {
        self.token.is_some_and(|named| is_named(named, RECOVERY))
    }

    /// How many different ones they named, where they named any.
    pub(super) fn named(&self) -> Option<usize> {
        self.token.map(|named| named.split(',').collect::<HashSet<_>>().len())
    }

    /// The tokens that they named. `None`: none; then any may be used.
    pub(super) fn tokens(&self) -> Option<&'a str> {
        self.token.filter(|named| named.split(',').any(|name| name != RECOVERY))
    }
}
