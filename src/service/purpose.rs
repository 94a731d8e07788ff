//! The words of a prompt: what a touch will do, to which account, for whom.

use super::caller::Caller;

/// What is about to be done, for one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Purpose {
    /// `sign GetSessionToken, 1 h, root of prod (1111-2222-3333)`
    pub(super) act: String,
    /// `session`, `totp-code`, `unlock`… for the audit record.
    pub(super) event: &'static str,
}

impl Purpose {
    pub(super) fn new(event: &'static str, act: impl Into<String>) -> Self {
        Self { act: act.into(), event }
    }

    /// The sentence, with everybody who waits for the same.
    pub(super) fn text(&self, caller: &Caller, others: &[String], clock: Option<&str>) -> String {
        // First, for a screen may cut the end off.
        let clock = clock.map(|clock| format!("{clock}. To ")).unwrap_or_default();
        let mut text = format!("{clock}{}, for {caller}", self.act);
        for other in others {
            text.push_str(" and ");
            text.push_str(other);
        }
        if let Some(why) = &caller.why {
            text.push_str(", because: ");
            text.push_str(why.as_str());
        }
        text
    }
}

/// `root of prod (1111-2222-3333)`, `user alice of prod (…)`
pub(super) fn identity(name: &str, account_id: &str, user: Option<&str>) -> String {
    let grouped = match (account_id.get(..4), account_id.get(4..8), account_id.get(8..)) {
        (Some(first), Some(second), Some(third)) => format!("{first}-{second}-{third}"),
        _ => account_id.to_owned(),
    };
    match user {
        None => format!("root of {name} ({grouped})"),
        Some(user) => format!("user {user} of {name} ({grouped})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_well() {
        assert_eq!(identity("prod", "111122223333", None), "root of prod (1111-2222-3333)");
        assert_eq!(identity("prod", "111122223333", Some("eve")), "user eve of prod (1111-2222-3333)");
    }
}
