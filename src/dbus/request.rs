//! What a method begins with that people have to consent to: who calls and why, the token that they named, and the way
//! to the people behind them.

use super::door::{Door, while_there};
use super::error::Error;
use super::options::Options;
use super::prompter::AgentPrompter;
use crate::service::caller::Caller;
use crate::service::{Act, Who};
use std::future::Future;
use zbus::Connection;
use zbus::message::Header;

pub(super) struct Request {
    caller: Caller,
    token: Option<String>,
    prompter: AgentPrompter,
}

impl Request {
    /// Takes `token` and `reason` out of the options. Refused where the policy does not let the caller do it.
    pub(super) async fn new(
        door: &Door,
        act: Act,
        options: &mut Options,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<Self, Error> {
        let caller = door.caller_who_may(act, header, connection).await?;
        let (caller, token) = options.asking(caller)?;
        let prompter = door.prompter(&caller, connection);
        Ok(Self { caller, token, prompter })
    }

    pub(super) fn who(&self) -> Who<'_> {
        self.with(self.token.as_deref())
    }

    /// The same, with another choice of tokens.
    pub(super) fn with<'a>(&'a self, tokens: Option<&'a str>) -> Who<'a> {
        Who::new(&self.caller, &self.prompter, tokens)
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Works for the caller, for as long as it is there.
    pub(super) async fn run<R, E: Into<Error>>(
        &self,
        work: impl Future<Output = Result<R, E>>,
    ) -> Result<R, Error> {
        while_there(&self.caller, work).await
    }
}
