//! What stands between a program and its session: the cached `rootseal credentials`, `GetCredentials` over the
//! bus, the daemon's start, its memory and its sleep. Each beside an empty zbus program on the same connection.
//!
//! `make bench`, or `cargo run --release --example bench_door` after `cargo build --release --bins --examples`
//! and the virtual token.
//! All of it is pinned to one core. `ROOTSEAL_BENCH_DIR` names where the audit log and the vault are; by
//! default a memory file system, so that a disk's time to sync is not measured.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

#[path = "../crowd.rs"]
mod crowd;
mod figures;
mod house;
mod token;

use figures::{Times, at_least, at_most, beside, in_turns, number};
use house::{House, PROFILE, Program, daemon, floor, message_bus};
use rootseal::dbus::proxy::{CredentialsOptions, Manager1Proxy};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::proxy::CacheProperties;

const ROUNDS: usize = 200;
/// One-time codes: each of a seed of its own.
const CODES: usize = 30;
/// Items of the larger vault.
const ITEMS: usize = 100_000;

fn main() {
    pin_to_one_core();
    let directory = base().join(format!("rootseal-bench-{}", std::process::id()));
    let house = House::furnish(&directory);
    println!("in {}; ours / floor, medians of {ROUNDS} rounds in turns", directory.display());
    // First, before benchmarks make the daemon's heap grow.
    memory_and_sleep(&house);
    cached_credentials(&house);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(calls(&house));
    start(&house);
    runtime.block_on(crowded(&house));
}

fn pin_to_one_core() {
    let mut allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).unwrap();
    allowed.clear();
    allowed.set(last);
    rustix::thread::sched_setaffinity(None, &allowed).unwrap();
}

fn base() -> PathBuf {
    let named = std::env::var_os("ROOTSEAL_BENCH_DIR").map(PathBuf::from);
    let memory = || Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir());
    named.or_else(memory).unwrap_or_else(std::env::temp_dir)
}

fn finish(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?} failed");
}

/// From the start of the process to its end.
fn cached_credentials(house: &House) {
    let (private, bus) = (house.address("daemon"), format!("bus:{}", house.bus));
    let floor_bus = [house.bus.as_str(), "org.rootseal.Floor"];
    for (what, address, floor_args) in [
        ("rootseal credentials, private socket", &private, &[house.address("floor").as_str()][..]),
        ("rootseal credentials, message bus", &bus, &floor_bus[..]),
    ] {
        let mut ours = house.client(address);
        ours.args(["credentials", PROFILE]);
        let out = ours.output().unwrap();
        assert!(String::from_utf8(out.stdout).unwrap().contains("SessionToken"), "{what}: no session");
        ours.stdout(Stdio::null());
        let mut empty = floor("floor_client");
        empty.args(floor_args).stdin(Stdio::null()).stdout(Stdio::null());
        let (mut ours, mut floor) = in_turns(ROUNDS, || finish(&mut ours), || finish(&mut empty));
        at_most(what, ours.median(), floor.median(), 1.2);
    }
}

async fn connect(address: &str, bus: bool) -> Connection {
    let builder = Builder::address(address);
    let builder = if bus { builder } else { builder.p2p() };
    builder.build().await.unwrap()
}

async fn manager(connection: &Connection) -> Manager1Proxy<'static> {
    let builder = Manager1Proxy::builder(connection).cache_properties(CacheProperties::No);
    builder.build().await.unwrap()
}

fn options(house: &House) -> CredentialsOptions {
    CredentialsOptions { endpoint: Some(house.endpoint()), no_prompt: Some(true), ..Default::default() }
}

async fn credentials(manager: Manager1Proxy<'static>, options: CredentialsOptions) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    manager.get_credentials(PROFILE, options, write.as_fd().into()).await.unwrap();
    drop(write);
    take(&read);
}

/// A call that does nothing but to write as much into a pipe.
async fn filled(connection: Connection, name: Option<&'static str>) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let out = zbus::Fd::from(&write);
    connection.call_method(name, "/floor", Some("org.rootseal.Floor"), "Fill", &out).await.unwrap();
    drop(write);
    take(&read);
}

/// Reads what is there when the reply comes (`docs/dbus-api.md`).
fn take(read: &OwnedFd) {
    assert!(rustix::io::read(read, &mut [0; 4096]).unwrap() > 800);
}

async fn empty(connection: Connection, name: Option<&'static str>) {
    connection.call_method(name, "/floor", Some("org.rootseal.Floor"), "Empty", &()).await.unwrap();
}

/// Calls on connections that are there already.
async fn calls(house: &House) {
    let bus = house.bus.as_str();
    let (ours, nothing) = (house.address("daemon"), house.address("floor"));
    for (kind, ours, nothing, name) in [
        ("private socket", ours.as_str(), nothing.as_str(), None),
        ("message bus", bus, bus, Some("org.rootseal.Floor")),
    ] {
        let ours = connect(ours, name.is_some()).await;
        let nothing = connect(nothing, name.is_some()).await;
        let manager = manager(&ours).await;
        let options = || options(house);
        let mut times = (Times::default(), Times::default());
        let mut pipes = Times::default();
        for round in 0..ROUNDS * 12 {
            let start = Instant::now();
            credentials(manager.clone(), options()).await;
            let middle = Instant::now();
            empty(nothing.clone(), name).await;
            let end = Instant::now();
            filled(nothing.clone(), name).await;
            if round >= ROUNDS {
                times.0.push(middle - start);
                times.1.push(end - middle);
                pipes.push(end.elapsed());
            }
        }
        beside(&format!("GetCredentials p50 / a pipe filled, {kind}"), times.0.median(), pipes.median());
        for (part, quantile, limit) in [("p50", 0.5, 1.3), ("p99", 0.99, 2.0)] {
            let (ours, floor) = (times.0.quantile(quantile), times.1.quantile(quantile));
            at_most(&format!("GetCredentials {part}, {kind}"), ours, floor, limit);
        }
        let mut times = (Times::default(), Times::default());
        let mut pipes = Times::default();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let all: JoinSet<()> = (0..32).map(|_| credentials(manager.clone(), options())).collect();
            all.join_all().await;
            let middle = Instant::now();
            let all: JoinSet<()> = (0..32).map(|_| empty(nothing.clone(), name)).collect();
            all.join_all().await;
            let end = Instant::now();
            let all: JoinSet<()> = (0..32).map(|_| filled(nothing.clone(), name)).collect();
            all.join_all().await;
            times.0.push(middle - start);
            times.1.push(end - middle);
            pipes.push(end.elapsed());
        }
        beside(&format!("32 GetCredentials / 32 pipes filled, {kind}"), times.0.median(), pipes.median());
        let what = format!("GetCredentials, 32 in flight, {kind}");
        at_least(&what, times.0.median(), times.1.median(), 0.7);
    }
}

/// The same with many items in the vault, and what a code costs beside the token's own time.
async fn crowded(house: &House) {
    let socket = house.directory.join("token.sock");
    let binding = token::make_vault(&socket, &house.directory.join("crowd-data"), ITEMS).await;
    let _crowd = house.crowd();
    let (few, many) = (house.address("daemon"), house.address("crowd"));
    let connections = (connect(&few, false).await, connect(&many, false).await);
    let managers = (manager(&connections.0).await, manager(&connections.1).await);
    let mut times = (Times::default(), Times::default());
    for round in 0..ROUNDS * 12 {
        let start = Instant::now();
        credentials(managers.0.clone(), options(house)).await;
        let middle = Instant::now();
        credentials(managers.1.clone(), options(house)).await;
        if round >= ROUNDS {
            times.0.push(middle - start);
            times.1.push(middle.elapsed());
        }
    }
    let what = format!("GetCredentials p50, {ITEMS} items / few");
    at_most(&what, times.1.median(), times.0.median(), 1.1);

    let accounts: Vec<_> = (0..CODES).map(|number| format!("seed {number}")).collect();
    house.add_seeds("daemon", &accounts);
    house.add_seeds("crowd", &accounts);
    let (mut of_few, mut of_many, mut floors) = (Times::default(), Times::default(), Times::default());
    let pin = house.file("pin");
    for account in &accounts {
        for (address, times) in [(&few, &mut of_few), (&many, &mut of_many)] {
            let mut code = house.client(address);
            code.args(["--pin-file", &pin, "totp", "code", account]).stdout(Stdio::null());
            let start = Instant::now();
            finish(&mut code);
            times.push(start.elapsed());
        }
        let mut empty = floor("floor_client");
        empty.arg(house.address("floor")).stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        finish(&mut empty);
        token::open_guard(&socket, &binding).await;
        floors.push(start.elapsed());
    }
    let (of_few, of_many) = (of_few.median(), of_many.median());
    at_most("rootseal totp code / floor and token alone", of_few, floors.median(), 1.3);
    at_most(&format!("rootseal totp code, {ITEMS} items / few"), of_many, of_few, 1.1);
}

/// From the start of the daemon's process to READY, with the vault of ten accounts, on a bus of its own.
fn start(house: &House) {
    let data = house.directory.join("start");
    finish(Command::new("cp").arg("-a").arg(house.directory.join("data")).arg(&data));
    let bus = format!("unix:path={}", house.directory.join("start-bus").display());
    let _message_bus = message_bus(&bus);
    let (mut ours, mut floors) = (Times::default(), Times::default());
    for _ in 0..ROUNDS / 2 {
        let start = Instant::now();
        let program = Program::start(daemon(&data).args(["--bus", &bus, "--ready-fd"]));
        ours.push(start.elapsed());
        drop(program);
        let start = Instant::now();
        let program = Program::start(floor("floor_server").args(["bus", &bus]));
        floors.push(start.elapsed());
        drop(program);
    }
    at_most("rootseald, start to READY, message bus", ours.median(), floors.median(), 2.0);
}

fn memory_and_sleep(house: &House) {
    let process = PathBuf::from(format!("/proc/{}", house.daemon.pid()));
    let resident = field(&process, "VmRSS:") / 1024.0;
    number("rootseald, resident set, idle and unlocked", resident, 6.0, "MiB");
    let switches = || -> f64 {
        let threads = std::fs::read_dir(process.join("task")).unwrap();
        let threads = threads.map(|thread| thread.unwrap().path());
        threads
            .map(|thread| {
                field(&thread, "voluntary_ctxt_switches:") + field(&thread, "nonvoluntary_ctxt_switches:")
            })
            .sum()
    };
    // What the last command left to do is done by then.
    std::thread::sleep(Duration::from_secs(12));
    let before = switches();
    std::thread::sleep(Duration::from_secs(30));
    number("rootseald, wakeups in 30 s of idleness", switches() - before, 0.0, "times");
}

fn field(process: &Path, name: &str) -> f64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
