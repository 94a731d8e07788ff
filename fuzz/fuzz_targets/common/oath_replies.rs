//! What the fuzz target does with an input; `tests/corpus_piv.rs` does the same with the corpus.

use crate::card;
use rootseal::piv::{NewAccount, Oath, OathHash, OathName, Otp as _, OtpCard, OtpSlot};
use rootseal::secret::{OathAccessKey, TotpSeed};

/// The first byte says what the card is asked, the rest is what it answers, to SELECT first. Returns whether it was
/// believed.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((question, left)) = data.split_first() else { return false };
    let Some(patience) = card::patience() else { return false };
    let mut card = card::InputCard { left, selects: false };
    if *question == 9 {
        let Ok(mut otp) = OtpCard::open(&mut card, &patience) else { return false };
        return otp.serial().is_ok() && otp.challenge_response(OtpSlot::Two, b"challenge").is_ok();
    }
    let Ok(mut oath) = Oath::open(&mut card, &patience) else { return false };
    let Ok(name) = OathName::new(b"name") else { return false };
    match question {
        0 => oath
            .list()
            .is_ok_and(|all| all.iter().all(|one| one.name.period() > 0 && !one.name.text().is_empty())),
        1 => oath.calculate(&name, 1).is_ok(),
        2 => oath.calculate_all(1).is_ok(),
        3 => oath.validate(&OathAccessKey::copy_from(&[7; 16])).is_ok() && !oath.is_locked(),
        4 => {
            let seed = TotpSeed::copy_from(&[7; 20]);
            let new = NewAccount { name: &name, seed: &seed, hash: OathHash::Sha1, digits: 6, touch: true };
            oath.put(&new).is_ok()
        }
        _ => oath.delete(&name).is_ok(),
    }
}
