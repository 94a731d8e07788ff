//! What must hold for every file that calls itself a vault. The fuzz target calls it with inputs of its
//! making, `tests/corpus_vault.rs` with the stored corpus. It returns whether the input was taken.

use rootseal::secret::TokenSecret;
use rootseal::vault::{Lock, SealedVault, Seen, VaultError};

/// A vault file without its keys, or a machine's state.
pub(crate) fn vault_header(input: &[u8]) -> bool {
    if let Ok(seen) = Seen::decode(input) {
        assert_eq!(seen.encode(), input, "one encoding for one state");
        return true;
    }
    let Ok(sealed) = SealedVault::parse(input.to_vec()) else { return false };
    assert_eq!(sealed.bytes(), input, "nothing is lost");
    let header = sealed.header();
    assert!((1..=64).contains(&header.keyslots().len()), "keyslots within the limit");
    let (unlock, guard) = (header.thresholds().of(Lock::Unlock), header.thresholds().of(Lock::Guard));
    assert!(1 <= unlock && unlock <= guard, "thresholds in order");
    assert!(usize::from(guard) <= header.holders(Lock::Guard).len(), "holders enough");
    for slot in header.keyslots() {
        let opened = slot.share(header, Lock::Unlock, &TokenSecret::copy_from(&[0; 32])).map(|_share| ());
        assert_eq!(opened, Err(VaultError::WrongToken), "nobody's token opens a slot");
    }
    let other = Seen {
        vault_id: header.vault_id(),
        generation: header.generation(),
        epoch: header.epoch(),
        header_mac: [0; 32],
        manifest_version: 0,
    };
    // Almost always a fork of what was seen; never a panic.
    let _checked = sealed.check(Some(&other));
    true
}
