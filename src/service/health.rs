//! What the daemon knows of its own health: what a client cannot see from outside.

use super::Service;
use crate::secret::{Protection, protection};
use rustix::process::{DumpableBehavior, Resource};
use std::os::unix::fs::PermissionsExt as _;

/// How much secrets take at most, in bytes: a page for each, and some hundred sessions.
const ROOM: u64 = 4 << 20;

/// How it is with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Weaker than it could be.
    Weak,
    /// Something that is promised does not hold.
    Bad,
}

impl Health {
    /// What listings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "bad",
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, for programs.
    pub about: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub text: String,
    /// What to do; empty where nothing is.
    pub advice: String,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, health: Health::Good, text: text.into(), advice: String::new() }
    }

    fn not_good(
        about: &'static str,
        health: Health,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { about, health, text: text.into(), advice: advice.into() }
    }
}

impl Service {
    /// Looks at the process, the clock, the log and the files.
    pub fn health(&self) -> Vec<Finding> {
        let mut findings = vec![secret_memory(), room(), core_dumps(), self.clock_health(), self.directory()];
        findings.extend(self.log_health());
        findings
    }

    fn clock_health(&self) -> Finding {
        match self.clock.jump() {
            None => Finding::good("clock-jump", "the clock has not jumped since the daemon began"),
            Some(jump) => Finding::not_good(
                "clock-jump",
                Health::Bad,
                format!("the clock jumped by {jump} s: codes and signatures wait until a touch confirms it"),
                "set the clock right, or confirm it with the next touch",
            ),
        }
    }

    fn directory(&self) -> Finding {
        let about = "data-directory";
        let directory = self.path.parent().unwrap_or(&self.path);
        let Ok(metadata) = std::fs::metadata(directory) else {
            return Finding::not_good(
                about,
                Health::Bad,
                format!("{} cannot be looked at", directory.display()),
                "see to it that the daemon may use it",
            );
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o700 == mode {
            return Finding::good(about, format!("{} is the daemon's alone", directory.display()));
        }
        Finding::not_good(
            about,
            Health::Weak,
            format!("others can look into {} (mode {mode:o})", directory.display()),
            format!("chmod 700 {}", directory.display()),
        )
    }

    fn log_health(&self) -> Vec<Finding> {
        let warnings = self.audit_warnings();
        if warnings.is_empty() {
            return vec![Finding::good("audit-log", "the audit log can be written")];
        }
        let bad = |text| {
            Finding::not_good(
                "audit-log",
                Health::Bad,
                text,
                "see docs/audit-log.md; `rootseal audit verify` says more",
            )
        };
        warnings.into_iter().map(bad).collect()
    }
}

fn secret_memory() -> Finding {
    let about = "secret-memory";
    match protection() {
        Protection::SecretMemory => Finding::good(
            about,
            "secrets are in memory that not even the kernel's own maps show (memfd_secret)",
        ),
        Protection::Locked => Finding::not_good(
            about,
            Health::Weak,
            "secrets are in locked memory, out of swap and core dumps, but the kernel gives no memfd_secret",
            "use Linux 6.5 or newer, or boot with secretmem.enable=1",
        ),
        Protection::Unlocked => Finding::not_good(
            about,
            Health::Bad,
            "secrets are in memory that may be swapped out: the limit on locked memory is too low",
            "raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the unit, or ulimit -l) to 4 MiB and start rootseald again",
        ),
    }
}

fn room() -> Finding {
    let about = "locked-memory-limit";
    match rustix::process::getrlimit(Resource::Memlock).current {
        Some(limit) if limit < ROOM => Finding::not_good(
            about,
            Health::Weak,
            format!("the limit on locked memory is {} KiB: many sessions at once may not fit", limit >> 10),
            "raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the unit, or ulimit -l) to 4 MiB and start rootseald again",
        ),
        Some(limit) => Finding::good(about, format!("the limit on locked memory is {} KiB", limit >> 10)),
        None => Finding::good(about, "there is no limit on locked memory"),
    }
}

fn core_dumps() -> Finding {
    let about = "core-dumps";
    let dumpable = rustix::process::dumpable_behavior();
    let closed = matches!(dumpable, Ok(DumpableBehavior::NotDumpable));
    let limit = rustix::process::getrlimit(Resource::Core);
    if closed && limit.current == Some(0) {
        return Finding::good(
            about,
            "the daemon writes no core dump, and programs of its user cannot trace it",
        );
    }
    Finding::not_good(
        about,
        Health::Bad,
        "the daemon could be dumped or traced by programs of its user",
        "report this: it should have refused to start",
    )
}
