//! What the fuzz target does with an input; `tests/corpus_piv.rs` does the same with the corpus.

use crate::card;
use rootseal::piv::{Algorithm, Piv, PublicKey, Slot};
use rootseal::secret::{ManagementKey, Pin};

/// The generator of P-256: a point that is surely on it.
const POINT: &[u8; 65] = b"\x04\
    \x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
    \x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";

/// The first byte says what the card is asked, the rest is what it answers. Returns whether it was believed.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((question, left)) = data.split_first() else { return false };
    let Some(patience) = card::patience() else { return false };
    let mut card = card::InputCard { left, selects: true };
    let Ok(mut piv) = Piv::open(&mut card, &patience) else { return false };
    let slot = Slot::KEY_MANAGEMENT;
    let sound = |key: PublicKey| PublicKey::from_bytes(key.algorithm(), key.bytes()) == Ok(key);
    match question {
        0 => piv.key(slot).is_ok_and(|key| key.is_some_and(|key| sound(key.public))),
        1 => piv.keys().is_ok(),
        2 => piv.verify_pin(&Pin::copy_from(b"123456"), false).is_ok(),
        3 => piv.open_sealed(slot, Algorithm::EccP256, POINT, b"").is_ok(),
        4 => piv.open_sealed(slot, Algorithm::Rsa2048, &[1; 256], b"").is_ok(),
        5 => piv.authenticate_management(&ManagementKey::copy_from(&[1; 24])).is_ok(),
        6 => piv.protected_management_key().is_ok_and(|key| key.is_some()),
        7 => piv.generate(slot, Algorithm::Rsa2048, None, true).is_ok_and(sound),
        8 => piv.guid().is_ok_and(|guid| guid.is_some()),
        9 => piv.version().is_ok_and(|version| version.is_some()) && piv.serial().is_ok(),
        10 => piv.attestation(slot).is_ok() && piv.attester().is_ok(),
        _ => false,
    }
}
