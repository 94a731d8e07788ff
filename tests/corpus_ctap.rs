//! Replays the fuzz corpora of the CTAP decoders.
#![expect(clippy::unwrap_used, reason = "a test without its corpus fails")]

#[path = "../fuzz/fuzz_targets/common/ctap_cbor.rs"]
mod ctap_cbor;
#[path = "../fuzz/fuzz_targets/common/ctap_hid.rs"]
mod ctap_hid;

use std::collections::BTreeMap;
use std::path::Path;

/// What `run` says of each file of a corpus.
fn replay(target: &str, run: fn(&[u8]) -> usize) -> BTreeMap<String, usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|file| (file.file_name().into_string().unwrap(), run(&std::fs::read(file.path()).unwrap())))
        .collect()
}

#[test]
fn every_reply_is_decoded_or_refused() {
    let seen = replay("ctap_cbor", ctap_cbor::run);
    for good in ["get_info", "get_info_minimal", "key_agreement", "make_credential", "auth_data_made"] {
        assert!(seen[good] > 0, "{good}");
    }
    let real = seen.iter().filter(|(name, _)| name.starts_with("virtual_token_"));
    assert_eq!(real.map(|(name, taken)| assert!(*taken > 0, "{name}")).count(), 5);
    for bad in ["auth_data_id_too_long", "duplicate_key", "duplicate_key_other_length", "indefinite", "deep"]
    {
        assert_eq!(seen[bad], 0, "{bad}");
    }
    let keys = seen.iter().filter(|(name, _)| name.starts_with("auth_data_key_"));
    assert_eq!(keys.map(|(name, taken)| assert_eq!(*taken, 0, "{name}")).count(), 7);
}

#[test]
fn every_stream_of_reports_ends_well() {
    let seen = replay("ctap_hid", ctap_hid::run);
    for (stream, messages) in
        [("get_info", 1), ("keepalive_then_reply", 2), ("error_in_the_middle", 1), ("longest", 1)]
    {
        assert_eq!(seen[stream], messages, "{stream}");
    }
    for stream in
        ["new_message_in_the_middle", "wrong_sequence", "continuation_first", "too_long", "short_report"]
    {
        assert_eq!(seen[stream], 0, "{stream}");
    }
}
