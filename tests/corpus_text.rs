//! The fuzz corpora of the text formats and pictures, replayed: files named `ok-…` are taken, all others
//! refused, and what the fuzz targets assert holds for each.

#[path = "../fuzz/checks/text.rs"]
mod checks;

use std::path::Path;

#[track_caller]
fn replay(target: &str, check: fn(&[u8]) -> bool) -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut taken, mut refused) = (0_u32, 0_u32);
    for entry in std::fs::read_dir(&corpus)? {
        let path = entry?.path();
        let expected = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ok-"));
        assert_eq!(check(&std::fs::read(&path)?), expected, "{}", path.display());
        let count = if expected { &mut taken } else { &mut refused };
        *count = count.saturating_add(1);
    }
    assert!(taken > 0 && refused > 0, "{} has inputs of both kinds", corpus.display());
    Ok(())
}

#[test]
fn otpauth() -> std::io::Result<()> {
    replay("otpauth", checks::otpauth)
}

#[test]
fn rootkey_csv() -> std::io::Result<()> {
    replay("rootkey_csv", checks::rootkey_csv)
}

#[test]
fn sts_xml() -> std::io::Result<()> {
    replay("sts_xml", checks::sts_xml)
}

#[test]
fn qr_png() -> std::io::Result<()> {
    replay("qr_png", checks::qr_png)
}
