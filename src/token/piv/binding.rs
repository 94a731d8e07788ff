//! What the vault keeps of a PIV card, in its own encoding.

use crate::piv::{Algorithm, Attestation, PublicKey, Roots, Said, Slot};
use crate::token::{Attested, TokenError, optional};
use minicbor::{Decoder, Encoder};

/// The longest certificate that is kept, in bytes.
const LONGEST: usize = 4096;

/// What a keyslot keeps of a PIV key (`docs/vault-format.md`, "Kinds of keyslot").
#[derive(Debug, PartialEq, Eq)]
pub(in crate::token) struct Binding {
    pub(super) slot: Slot,
    pub(super) key: PublicKey,
    /// For the unlock lock and for the guard lock: what the card needs to answer the lock's secret.
    pub(super) capsules: [Vec<u8>; 2],
    /// What tells the card from others; cards that were never personalised have none.
    pub(super) guid: Option<[u8; 16]>,
    pub(super) serial: Option<u32>,
    pub(in crate::token) pin: bool,
    pub(in crate::token) touch: bool,
    /// The key's attestation and its attester's certificate, DER: evidence that the key was made on the card.
    pub(super) evidence: Vec<Vec<u8>>,
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

impl Binding {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write(&mut Encoder::new(&mut bytes));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        bytes
    }

    fn write(&self, out: &mut Encoder<&mut Vec<u8>>) -> Written {
        out.map(9)?.u8(0)?.u8(self.slot.number())?.u8(1)?.str(self.key.algorithm().name())?;
        out.u8(2)?.bytes(self.key.bytes())?.u8(3)?;
        write_list(out, &self.capsules)?;
        out.u8(4)?;
        match &self.guid {
            Some(guid) => out.bytes(guid)?,
            None => out.null()?,
        };
        out.u8(5)?;
        match self.serial {
            Some(serial) => out.u32(serial)?,
            None => out.null()?,
        };
        out.u8(6)?.bool(self.pin)?.u8(7)?.bool(self.touch)?.u8(8)?;
        write_list(out, &self.evidence)
    }

    /// How far the evidence goes: it is of this key, and its attester is one of `roots`, or vouched for by one.
    pub(in crate::token) fn attested(&self, roots: &Roots) -> Attested {
        let [statement, attester] = self.evidence.as_slice() else { return Attested::No };
        let said = Said { serial: self.serial, ..Said::default() };
        let attestation = Attestation::verify(statement, attester);
        match attestation.and_then(|found| found.agrees(&self.key, &said).map(|()| found.is_rooted(roots))) {
            Ok(true) => Attested::Rooted,
            Ok(false) => Attested::Itself,
            Err(_) => Attested::No,
        }
    }

    pub(in crate::token) fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        let binding = Self::read(bytes).filter(|binding| binding.encode() == bytes);
        binding.ok_or(TokenError::Binding)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        let key = |from: &mut Decoder<'_>, expected: u8| (from.u8().ok()? == expected).then_some(());
        (from.map().ok()? == Some(9)).then_some(())?;
        key(&mut from, 0)?;
        let slot = Slot::new(from.u8().ok()?).ok()?;
        key(&mut from, 1)?;
        let algorithm: Algorithm = from.str().ok()?.parse().ok()?;
        key(&mut from, 2)?;
        let public = PublicKey::from_bytes(algorithm, from.bytes().ok()?).ok()?;
        key(&mut from, 3)?;
        let capsules = read_list(&mut from)?.try_into().ok()?;
        key(&mut from, 4)?;
        let guid = optional(&mut from, |from| from.bytes().ok()?.try_into().ok())?;
        key(&mut from, 5)?;
        let serial = optional(&mut from, |from| from.u32().ok())?;
        key(&mut from, 6)?;
        let pin = from.bool().ok()?;
        key(&mut from, 7)?;
        let touch = from.bool().ok()?;
        key(&mut from, 8)?;
        let evidence = read_list(&mut from)?;
        let whole = from.position() == bytes.len();
        whole.then_some(Self { slot, key: public, capsules, guid, serial, pin, touch, evidence })
    }
}

fn write_list(out: &mut Encoder<&mut Vec<u8>>, list: &[Vec<u8>]) -> Written {
    out.array(list.len() as u64)?;
    for bytes in list {
        out.bytes(bytes)?;
    }
    Ok(())
}

/// Two at most.
fn read_list(from: &mut Decoder<'_>) -> Option<Vec<Vec<u8>>> {
    let length = from.array().ok()??;
    (length <= 2).then_some(())?;
    (0..length).map(|_| Some(from.bytes().ok().filter(|bytes| bytes.len() <= LONGEST)?.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ecdh::{Curve, PrivateKey};

    #[test]
    fn a_binding_is_read_as_it_was_written_and_in_no_other_form() {
        let point = PrivateKey::random(Curve::P256).unwrap().public();
        for (guid, serial, evidence) in
            [(None, None, vec![]), (Some([7; 16]), Some(12_345_678), vec![vec![1; 700], vec![2; 900]])]
        {
            let binding = Binding {
                slot: Slot::KEY_MANAGEMENT,
                key: PublicKey::ec(Curve::P256, &point).unwrap(),
                capsules: [vec![4; 65], vec![5; 65]],
                guid,
                serial,
                pin: true,
                touch: false,
                evidence,
            };
            let bytes = binding.encode();
            assert_eq!(Binding::decode(&bytes), Ok(binding));
            for length in 0..bytes.len() {
                assert_eq!(Binding::decode(&bytes[..length]), Err(TokenError::Binding));
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(Binding::decode(&longer), Err(TokenError::Binding));
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x55;
                // Another binding perhaps, and never a panic.
                let _any = Binding::decode(&other);
            }
        }
    }
}
