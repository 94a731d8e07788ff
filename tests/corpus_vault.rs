//! The fuzz corpus of the vault's structure, replayed: files named `ok-…` are taken, all others refused,
//! and what the fuzz target asserts holds for each.

#[path = "../fuzz/checks/vault.rs"]
mod checks;

use std::path::Path;

#[test]
fn vault_header() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/vault_header");
    let (mut taken, mut refused) = (0_u32, 0_u32);
    for entry in std::fs::read_dir(&corpus)? {
        let path = entry?.path();
        let expected = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ok-"));
        assert_eq!(checks::vault_header(&std::fs::read(&path)?), expected, "{}", path.display());
        let count = if expected { &mut taken } else { &mut refused };
        *count = count.saturating_add(1);
    }
    assert!(taken > 2 && refused > 20, "{} has inputs of both kinds", corpus.display());
    Ok(())
}
