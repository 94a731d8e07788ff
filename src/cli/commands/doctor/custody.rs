//! What the daemon knows: the vault, its keyslots, tokens, the log, and its own process.

use super::{Finding, Health};
use crate::cli::commands::drill::Schedule;
use crate::cli::commands::{Session, vault};
use crate::cli::error::Error;
use crate::dbus::names::RECOVERY_ID;
use crate::dbus::proxy::{FindingRow, KeyslotRow, TokenProblemRow, VaultProperties, VerifyReply};
use std::collections::BTreeSet;

pub(super) async fn look(session: &Session) -> Result<Vec<Finding>, Error> {
    let manager = session.daemon.manager().await?;
    let tokens = manager.tokens().await?;
    let problems = manager.token_problems().await?;
    let properties = vault::properties(session).await?;
    let mut findings = vec![state(&properties)];
    findings.extend(quorum(&properties));
    findings.extend(spares(&properties.keyslots));
    findings.push(seen(tokens.len(), &problems));
    findings.extend(problems.iter().map(trouble));
    let own = session.daemon.health().await?.diagnose().await?;
    findings.extend(own.into_iter().map(Finding::from));
    findings.push(log(&session.daemon.audit().await?.verify().await?));
    findings.extend(drill(&Schedule::ask(session).await?));
    Ok(findings)
}

fn state(vault: &VaultProperties) -> Finding {
    match vault.state.as_str() {
        "absent" => Finding::new("vault", Health::Weak, "there is none yet", "run `rootseal init`"),
        "damaged" => Finding::new(
            "vault",
            Health::Bad,
            vault.problem.clone(),
            "restore a copy: `rootseal vault restore FILE`",
        ),
        state => Finding::good("vault", format!("{state}, generation {}", vault.generation)),
    }
}

/// Whether those whose tokens are plugged in could do what the thresholds want.
fn quorum(vault: &VaultProperties) -> Option<Finding> {
    let slots = || vault.keyslots.iter();
    let all: BTreeSet<_> = slots().map(|slot| slot.holder.as_str()).collect();
    let here: BTreeSet<_> = slots().filter(|slot| slot.present).map(|slot| slot.holder.as_str()).collect();
    let (unlock, guard) = vault.thresholds;
    if all.is_empty() {
        return None;
    }
    let text = format!(
        "{} of {} holders have a token plugged in; {unlock} unlock, {guard} use what is guarded",
        here.len(),
        all.len()
    );
    let enough = |needed: u32| u32::try_from(here.len()).is_ok_and(|here| here >= needed);
    Some(match (enough(unlock), enough(guard)) {
        (true, true) => Finding::good("thresholds", text),
        (unlocks, _) => {
            let absent: Vec<_> = all.difference(&here).copied().collect();
            let what =
                if unlocks { "nothing guarded can be used now" } else { "the vault cannot be unlocked now" };
            let advice = format!("for that, plug in a token of {}", absent.join(" or "));
            Finding::new("thresholds", Health::Weak, format!("{text}: {what}"), advice)
        }
    })
}

/// Whether one lost token would be the end.
fn spares(slots: &[KeyslotRow]) -> Option<Finding> {
    let advice = "add a second one: `rootseal keyslot add --label spare`";
    match slots {
        [] => None,
        [one] => {
            let text =
                format!("\u{201c}{}\u{201d} alone opens this vault: lost, it takes all with it", one.label);
            Some(Finding::new("keyslots", Health::Weak, text, advice))
        }
        _ => {
            let codes = slots.iter().filter(|slot| slot.kind == RECOVERY_ID).count();
            let tokens = slots.len().saturating_sub(codes);
            let count = |number, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
            let text = format!("{}, {}", count(tokens, "token"), count(codes, "recovery code"));
            Some(Finding::good("keyslots", text))
        }
    }
}

fn seen(tokens: usize, problems: &[TokenProblemRow]) -> Finding {
    if tokens == 0 && problems.is_empty() {
        return Finding::new("tokens", Health::Weak, "none is plugged in", "plug one in");
    }
    Finding::good("tokens", format!("{tokens} can be used"))
}

fn trouble(problem: &TokenProblemRow) -> Finding {
    // What it means and what to do is one sentence of the daemon's.
    Finding::new("tokens", Health::Weak, problem.to_string(), "")
}

fn log(verdict: &VerifyReply) -> Finding {
    if !verdict.intact {
        let text = format!("bad from record {} on: {}", verdict.bad_record, verdict.problem);
        return Finding::new("audit-chain", Health::Bad, text, "keep the log's files as evidence");
    }
    let keys =
        if verdict.with_vault { "" } else { "; locked, so that its MACs and its end were not verified" };
    Finding::good("audit-chain", format!("intact to record {}{keys}", verdict.last))
}

fn drill(schedule: &Schedule) -> Option<Finding> {
    let words = schedule.words()?;
    Some(if schedule.is_overdue() {
        Finding::new("drill", Health::Weak, words, "run `rootseal drill --backup FILE`")
    } else {
        Finding::good("drill", words)
    })
}

impl From<FindingRow> for Finding {
    fn from(row: FindingRow) -> Self {
        let health = match row.health.as_str() {
            "good" => Health::Good,
            "weak" => Health::Weak,
            "bad" => Health::Bad,
            _ => Health::Unknown,
        };
        Self::new(&row.about, health, row.text, row.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(holder: &str, kind: &str, present: bool) -> KeyslotRow {
        let text = str::to_owned;
        KeyslotRow {
            id: String::new(),
            holder: text(holder),
            label: text("blue"),
            kind: text(kind),
            created: 0,
            present,
            proved: 0,
            attested: text("none"),
        }
    }

    fn vault(slots: Vec<KeyslotRow>, thresholds: (u32, u32)) -> VaultProperties {
        let text = String::new;
        VaultProperties {
            state: "locked".to_owned(),
            problem: text(),
            path: text(),
            generation: 3,
            thresholds,
            lock_deadline: 0,
            keyslots: slots,
        }
    }

    #[test]
    fn holders_at_hand_are_counted_once_each() {
        let slots = vec![slot("a", "fido2", true), slot("a", "piv", true), slot("b", "fido2", false)];
        let found = quorum(&vault(slots, (1, 2))).unwrap();
        assert_eq!((found.health, found.advice.as_str()), (Health::Weak, "for that, plug in a token of b"));
        assert!(found.text.contains("1 of 2 holders") && found.text.contains("nothing guarded"), "{found:?}");
        let slots = vec![slot("a", "fido2", true), slot("b", "fido2", true)];
        assert_eq!(quorum(&vault(slots, (1, 2))).unwrap().health, Health::Good);
        assert_eq!(quorum(&vault(Vec::new(), (0, 0))), None);
    }

    #[test]
    fn one_token_alone_is_weak() {
        assert_eq!(spares(&[slot("a", "fido2", true)]).unwrap().health, Health::Weak);
        let with_code = [slot("a", "fido2", true), slot("r", RECOVERY_ID, false)];
        assert_eq!(spares(&with_code).unwrap().text, "1 token, 1 recovery code");
    }
}
