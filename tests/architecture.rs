//! The house keeps its plan: who may use whom, how long a file may be, what a secret can never do, and what
//! the programs are linked with.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Each room of `src/`, the rooms that it may use, and the words of the outside world that may stand in it.
/// `room::part` allows that part alone.
const ROOMS: &[(&str, &[&str], &[Outside])] = &[
    ("secret", &[], &[]),
    ("crypto", &["secret"], &[]),
    ("vault", &["secret", "crypto"], &[]),
    ("otp", &["secret"], &[]),
    ("channel", &[], &[]),
    ("ctap", &["secret", "crypto", "channel"], &[]),
    ("piv", &["secret", "crypto", "channel"], &[]),
    ("transport", &["channel"], &[Outside::Devices]),
    ("token", &["secret", "crypto", "channel", "ctap", "piv", "transport"], &[Outside::Tasks]),
    ("store", &[], &[Outside::Files]),
    ("aws", &["secret"], &[]),
    ("audit", &["secret", "crypto"], &[Outside::Files]),
    (
        "service",
        &["secret", "crypto", "vault", "otp", "channel", "token", "store", "aws", "audit"],
        // Who a caller says it is stands in `/proc`.
        &[Outside::Tasks, Outside::Files],
    ),
    ("dbus", &["service", "secret", "token"], &[Outside::Tasks, Outside::Files, Outside::Bus]),
    ("daemon", &["dbus", "service", "store"], &[Outside::Tasks, Outside::Files]),
    (
        "cli",
        &["dbus::proxy", "dbus::names", "aws", "otp", "secret"],
        &[Outside::Tasks, Outside::Files, Outside::Bus, Outside::Network, Outside::Programs],
    ),
    ("bin", &[], &[]),
];

/// What a room can have to do with besides other rooms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outside {
    Network,
    Programs,
    Devices,
    Bus,
    Tasks,
    Files,
}

impl Outside {
    const ALL: [Self; 6] =
        [Self::Network, Self::Programs, Self::Devices, Self::Bus, Self::Tasks, Self::Files];

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Network => {
                &["TcpStream", "UdpSocket", "TcpListener", "ureq::", "rustls::", "ToSocketAddrs"]
            }
            Self::Programs => &["process::Command", "Command::new", "runtime::fork", "execve("],
            Self::Devices => &["hidapi::", "pcsc::"],
            Self::Bus => &["zbus::"],
            Self::Tasks => &["tokio::"],
            Self::Files => &["std::fs", "fs::open", "File::open", "File::create"],
        }
    }
}

struct Source {
    path: PathBuf,
    room: String,
    /// How many modules deep below the room it is: `room/mod.rs` is 0.
    depth: usize,
    text: String,
}

/// The lines outside of comments; words in a string could fool it, and none of ours do.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(number, line)| {
        let code = if line.trim_start().starts_with("//") { "" } else { line };
        (number + 1, code)
    })
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&src).unwrap();
                let parts: Vec<_> =
                    inside.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs")).collect();
                let modules = parts.iter().filter(|part| **part != "mod").count();
                sources.push(Source {
                    room: parts[0].to_owned(),
                    depth: modules - 1,
                    text: fs::read_to_string(&path).unwrap(),
                    path: inside.to_owned(),
                });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are found");
    sources
}

/// The `crate::…` paths of a line, without `crate::`.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, found)| {
        let path = &line[at + found.len()..];
        let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        &path[..end.unwrap_or(path.len())]
    })
}

fn allowed(room: &str, may_use: &[&str], path: &str) -> bool {
    let within =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    within(room) || may_use.iter().any(|place| within(place))
}

/// Offences of one line against the plan of its room.
fn offences(source: &Source, line: &str, in_tests: bool) -> Vec<String> {
    let Some((room, may_use, outside)) = ROOMS.iter().find(|(room, ..)| *room == source.room) else {
        return vec![format!("{} is in no room of the plan", source.path.display())];
    };
    let mut found = Vec::new();
    for path in crate_paths(line) {
        // `crate::{a, b}` would hide the rooms from a reader as well as from here.
        if path.is_empty() || !allowed(room, may_use, path) {
            found.push(format!("{room} may not use crate::{path}"));
        }
    }
    if *room != "bin" && line.contains("rootseal::") {
        found.push("the library is crate:: from within".to_owned());
    }
    let mut ups = 0;
    let longest = line.split("::").fold(0, |longest: usize, word| {
        let last = word.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        ups = if last == Some("super") { ups + 1 } else { 0 };
        longest.max(ups)
    });
    if longest > source.depth + usize::from(in_tests) {
        found.push(format!("{longest} × super:: leads out of the room"));
    }
    // A module of the room `transport`, not the crate.
    let line = line.replace("crate::transport::pcsc::", "");
    if !in_tests {
        for other in Outside::ALL.into_iter().filter(|other| !outside.contains(other)) {
            for word in other.words().iter().filter(|word| line.contains(**word)) {
                found.push(format!("{room} has nothing to do with {other:?}: {word}"));
            }
        }
    }
    found
}

fn all_offences(sources: &[Source]) -> Vec<String> {
    let mut all = Vec::new();
    for source in sources.iter().filter(|source| source.room != "lib") {
        let test_file = source.path.iter().any(|part| part == "tests" || part == "tests.rs");
        let mut in_tests = test_file;
        for (number, line) in code(&source.text) {
            in_tests |= line.starts_with("mod tests {");
            let here = offences(source, line, in_tests);
            all.extend(here.into_iter().map(|what| format!("{}:{number}: {what}", source.path.display())));
        }
    }
    all
}

#[test]
fn every_room_uses_only_what_the_plan_allows() {
    let sources = sources();
    assert_eq!(all_offences(&sources), Vec::<String>::new());
    for (room, ..) in ROOMS {
        assert!(sources.iter().any(|source| source.room == *room), "the room {room} is there");
    }
}

/// The check above finds what it is there to find.
#[test]
fn offences_are_seen() {
    let source = |room: &str, depth| Source {
        path: PathBuf::from(format!("{room}/x.rs")),
        room: room.to_owned(),
        depth,
        text: String::new(),
    };
    for (room, line) in [
        ("vault", "use crate::store::Store;"),
        ("secret", "    let key: crate::crypto::MessageKey = x;"),
        ("cli", "use crate::dbus::House;"),
        ("cli", "use crate::service;"),
        ("dbus", "use crate::vault::AccountRef;"),
        ("crypto", "use crate::{secret, vault};"),
        ("aws", "use super::super::vault::Header;"),
        ("ctap", "use rootseal::token;"),
        ("service", "let stream = std::net::TcpStream::connect(x);"),
        ("daemon", "std::process::Command::new(x)"),
        ("vault", "use std::fs;"),
        ("new", "use std::fmt;"),
        ("piv", "use crate::transport::pcsc::PcscCard;"),
        ("token", "let context = pcsc::Context::establish(scope);"),
    ] {
        assert_ne!(offences(&source(room, 1), line, false), Vec::<String>::new(), "{room}: {line}");
    }
    for (room, line) in [
        ("cli", "use crate::dbus::proxy::Manager1Proxy;"),
        ("vault", "use crate::crypto::{hash, kdf};"),
        ("service", "use super::House;"),
        ("token", "use crate::transport::pcsc::PcscCard;"),
    ] {
        assert_eq!(offences(&source(room, 1), line, false), Vec::<String>::new(), "{room}: {line}");
    }
}

#[test]
fn no_file_has_more_than_400_lines() {
    let long: Vec<_> = sources().into_iter().filter(|source| source.text.lines().count() > 400).collect();
    assert!(long.is_empty(), "{:?}", long.iter().map(|source| &source.path).collect::<Vec<_>>());
}

/// Whether a type implements a trait: an inherent constant, there only if it does, hides the trait's own.
macro_rules! trait_question {
    ($question:ident, $($bound:tt)+) => {
        mod $question {
            #[allow(dead_code, clippy::allow_attributes, reason = "one of the two answers is never used")]
            pub(super) trait Not {
                const YES: bool = false;
            }
            pub(super) struct Asked<T>(pub(super) super::PhantomData<T>);
            impl<T> Not for Asked<T> {}
            impl<T: $($bound)+> Asked<T> {
                pub(super) const YES: bool = true;
            }
        }
    };
}

trait_question!(cloned, Clone);
trait_question!(copied, Copy);
trait_question!(debugged, std::fmt::Debug);
trait_question!(displayed, std::fmt::Display);
trait_question!(serialized, serde::Serialize);
trait_question!(dereferenced, std::ops::Deref);
trait_question!(read_as_bytes, AsRef<[u8]>);
trait_question!(compared, PartialEq);

/// The names of the traits that a type must not have and has.
macro_rules! abilities {
    ($type:ty) => {{
        #[allow(unused_imports, clippy::allow_attributes, reason = "used by the answer no alone")]
        use {
            cloned::Not as _, compared::Not as _, copied::Not as _, debugged::Not as _,
            dereferenced::Not as _, displayed::Not as _, read_as_bytes::Not as _, serialized::Not as _,
        };
        let answers = [
            ("Clone", cloned::Asked::<$type>::YES),
            ("Copy", copied::Asked::<$type>::YES),
            ("Debug", debugged::Asked::<$type>::YES),
            ("Display", displayed::Asked::<$type>::YES),
            ("Serialize", serialized::Asked::<$type>::YES),
            ("Deref", dereferenced::Asked::<$type>::YES),
            ("AsRef<[u8]>", read_as_bytes::Asked::<$type>::YES),
            ("PartialEq", compared::Asked::<$type>::YES),
        ];
        answers.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect::<Vec<_>>()
    }};
}

#[test]
fn a_secret_can_neither_be_copied_nor_shown() {
    macro_rules! roles {
        ($($role:ident),+ $(,)?) => {{
            $(assert_eq!(abilities!(rootseal::secret::$role), [""; 0], stringify!($role));)+
            BTreeSet::from([$(stringify!($role)),+])
        }};
    }
    let checked = roles!(
        AuditKey,
        Base32Seed,
        DataKey,
        GuardKey,
        KeyShare,
        LongTermKey,
        ManagementKey,
        OathAccessKey,
        OtpCode,
        Pin,
        RecoveryCode,
        SessionCredentials,
        SigningKey,
        SlotKey,
        TokenSecret,
        TotpSeed,
        UnlockKey,
    );
    // Every role, also one that is added tomorrow.
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/secret/roles.rs")).unwrap();
    let roles = text.split("role! {").skip(1);
    let declared: BTreeSet<_> = roles
        .filter_map(|role| {
            role.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"))
        })
        .collect();
    assert_eq!(declared, checked);
}

/// The question above gets the answer yes where it is due.
#[test]
fn abilities_are_seen() {
    assert_eq!(abilities!(u32), ["Clone", "Copy", "Debug", "Display", "Serialize", "PartialEq"]);
    let text = ["Clone", "Debug", "Display", "Serialize", "Deref", "AsRef<[u8]>", "PartialEq"];
    assert_eq!(abilities!(String), text);
}

/// The shared libraries that a program names (its NEEDED entries), as the linker's own tool reads them.
fn needed(program: &str) -> BTreeSet<String> {
    let output = std::process::Command::new("readelf").args(["-d", program]).output().unwrap();
    assert!(output.status.success(), "readelf {program}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter(|line| line.contains("(NEEDED)"));
    names.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect()
}

/// The client loads no library at start that is not the C library's own, and the daemon libpcsclite beside, by which
/// it reaches smart cards: what is not loaded cannot be swapped, and the client runs where no libpcsclite and no
/// libudev is.
#[test]
fn the_client_needs_the_c_library_alone_and_the_daemon_libpcsclite() {
    let of_libc = ["libc.so.", "libm.so.", "libgcc_s.so.", "ld-linux"];
    let programs: [(&str, &[&str]); 2] =
        [(env!("CARGO_BIN_EXE_rootseal"), &[]), (env!("CARGO_BIN_EXE_rootseald"), &["libpcsclite.so."])];
    for (program, allowed) in programs {
        let needed = needed(program);
        assert!(needed.iter().any(|name| name.starts_with("libc.so.")), "{program} links dynamically");
        let known = |name: &str| of_libc.iter().chain(allowed).any(|known| name.starts_with(known));
        let others: Vec<_> = needed.iter().filter(|name| !known(name)).collect();
        assert!(others.is_empty(), "{program} needs {others:?}");
    }
}
