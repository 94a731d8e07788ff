//! Unlock (without the token's own time), and save after one change, for vaults of three sizes.
//!
//! `make bench`, or `cargo run --release --example bench_vault`. Each number is the best of several runs, in milliseconds; beside it the
//! floor: what AES-256-GCM and SHA-256 alone take over the same bytes, or a plain write, sync and rename.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

mod crowd;

use rootseal::crypto::aead::MessageKey;
use rootseal::crypto::hash::sha256;
use rootseal::secret::{TokenSecret, UnlockKey};
use rootseal::store::{FileStore, Keep, Store as _};
use rootseal::vault::{Lock, NewSlot, NewVault, Profile, SealedVault, Thresholds, UnlockedVault};
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

fn token() -> TokenSecret {
    TokenSecret::copy_from(&[7; 32])
}

fn best<T>(runs: usize, mut run: impl FnMut() -> T) -> f64 {
    let time = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_nanos()
    };
    (0..runs).map(time).min().unwrap() as f64 / 1e6
}

/// A vault of `items`.
fn vault(items: usize) -> UnlockedVault {
    let slot = NewSlot {
        holder: "alice".to_owned(),
        label: "key".to_owned(),
        kind: "fido2".to_owned(),
        created: 1,
        binding: vec![0xa0],
        unlock: token(),
        guard: Some(token()),
    };
    let mut vault = NewVault::create(vec![slot], Thresholds::ONE).unwrap().into_unlocked();
    let key = crowd::collected(vault.header(), Lock::Guard, &token()).guard_key().unwrap();
    crowd::fill(&mut vault, key, items);
    vault
}

fn with_one_more_profile(vault: &UnlockedVault) -> Vec<u8> {
    let mut draft = vault.edit();
    let profile = Profile {
        name: "one more".to_owned(),
        account: draft.index().accounts().first().unwrap().id,
        request: "GetSessionToken".to_owned(),
        duration: 3600,
        region: None,
        created: 2,
    };
    draft.add_profile(profile).unwrap();
    draft.seal().unwrap().bytes().to_vec()
}

fn plain_save(directory: &Path, bytes: &[u8]) {
    let (new, old) = (directory.join("plain.new"), directory.join("plain"));
    let mut file = File::create(&new).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    std::fs::rename(&new, &old).unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
}

fn main() {
    let directory = std::env::temp_dir().join(format!("rootseal-bench-{}", std::process::id()));
    println!("   items  unlock (floor)     seal  save (floor)   file");
    for (items, runs, target) in [(10, 200, 1.0), (1_000, 100, 2.0), (100_000, 10, 50.0)] {
        let bytes = vault(items).lock().bytes().to_vec();
        let header = SealedVault::parse(bytes.clone()).unwrap().header().clone();
        let key = || -> UnlockKey { crowd::collected(&header, Lock::Unlock, &token()).unlock_key().unwrap() };
        // The file is in memory, as the daemon holds it; from the token's secret to the open index.
        let mut locked = Some(SealedVault::parse(bytes.clone()).unwrap().check(None).unwrap());
        let unlock = best(runs, || {
            let vault = locked.take().unwrap().unlock(key()).map_err(|(_, error)| error).unwrap();
            locked = Some(vault.lock());
        });
        let vault = locked.unwrap().unlock(key()).map_err(|(_, error)| error).unwrap();
        let floor = best(runs, || {
            let mut out = Vec::with_capacity(bytes.len());
            MessageKey::derive(b"", b"", &[]).seal(b"", &bytes, &mut out).unwrap();
            sha256(&[&bytes])
        });
        let seal = best(runs, || with_one_more_profile(&vault));
        let mut store = FileStore::open(&directory).unwrap();
        store.load().unwrap();
        let save = best(runs, || store.save(&with_one_more_profile(&vault), Keep::Previous).unwrap());
        let plain = best(runs, || plain_save(&directory, &bytes));
        println!(
            "{items:8} {unlock:7.3} ({floor:7.3}) {seal:7.3} {save:7.3} ({plain:7.3}) {:6} KiB",
            bytes.len() / 1024
        );
        let verdict = |reached: bool| if reached { "TARGET" } else { "MISS  " };
        println!(
            "{} unlock of {items} items, {unlock:.3} ms, target <= {target} ms",
            verdict(unlock <= target)
        );
        if items == 1_000 {
            let ratio = save / plain;
            println!("{} save after one change, {ratio:.2} x, target <= 3 x", verdict(ratio <= 3.0));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
