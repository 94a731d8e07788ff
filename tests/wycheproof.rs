//! Our primitives against the vectors of Project Wycheproof (Apache-2.0), which collect what went wrong elsewhere:
//! points that are not on their curve, padding that is nearly right, tags that are not.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use rootseal::crypto::ecdh::{Curve, PrivateKey};
use rootseal::crypto::{kdf, rsa};
use wycheproof::ecdh::TestFlag;
use wycheproof::{TestResult, aead, ecdh, hkdf, rsa_oaep};

/// A number, big-endian, in exactly so many bytes.
fn sized(number: &[u8], length: usize) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..).unwrap_or_default();
    [vec![0; length - number.len()], number.to_vec()].concat()
}

fn agree(set: ecdh::TestName, curve: Curve) {
    let (mut agreed, mut refused) = (0, 0);
    for group in ecdh::TestSet::load(set).unwrap().test_groups {
        for test in group.tests {
            let ours = PrivateKey::from_bytes(curve, &sized(&test.private_key, curve.field())).unwrap();
            let shared = ours.agree(&test.public_key).map(|secret| secret.with(<[u8]>::to_vec));
            // Compressed points are points, but no card of ours sends them.
            let compressed = test
                .flags
                .iter()
                .any(|flag| matches!(flag, TestFlag::CompressedPoint | TestFlag::CompressedPublic));
            if let Ok(shared) = shared {
                assert!(!test.result.must_fail() && !compressed, "{}: {}", test.tc_id, test.comment);
                assert_eq!(shared, sized(&test.shared_secret, curve.field()), "{}", test.tc_id);
                assert_eq!((curve.check_point(&test.public_key), curve.check_x(&shared)), (Ok(()), Ok(())));
                agreed += 1;
            } else {
                assert!(test.result != TestResult::Valid || compressed, "{}: {}", test.tc_id, test.comment);
                curve.check_point(&test.public_key).unwrap_err();
                refused += 1;
            }
        }
    }
    assert!(agreed > 50 && refused > 5, "{agreed} agreed, {refused} refused");
}

#[test]
fn ecdh_p256() {
    agree(ecdh::TestName::EcdhSecp256r1Ecpoint, Curve::P256);
}

#[test]
fn ecdh_p384() {
    agree(ecdh::TestName::EcdhSecp384r1Ecpoint, Curve::P384);
}

/// RSADP (RFC 8017 section 5.1.2), which a card does for us.
fn decrypted(ciphertext: &[u8], d: &[u8], n: &[u8], size: usize) -> Option<Vec<u8>> {
    let bits = u32::try_from(size * 8).unwrap();
    let modulus = Odd::new(BoxedUint::from_be_slice(&sized(n, size), bits).unwrap()).unwrap();
    let number = BoxedUint::from_be_slice(ciphertext, bits).ok()?;
    if ciphertext.len() != size || number >= *modulus {
        return None;
    }
    let params = BoxedMontyParams::new_vartime(modulus);
    let exponent = BoxedUint::from_be_slice(&sized(d, size), bits).unwrap();
    Some(BoxedMontyForm::new(number, &params).pow(&exponent).retrieve().to_be_bytes().into_vec())
}

fn unpad(set: rsa_oaep::TestName) {
    let (mut opened, mut refused) = (0, 0);
    for group in rsa_oaep::TestSet::load(set).unwrap().test_groups {
        let size = group.key_size / 8;
        let (n, d) = (group.key.n.as_num_bigint().to_bytes_be(), group.key.d.as_num_bigint().to_bytes_be());
        let public = rsa::PublicKey::new(&n, &group.key.e.as_num_bigint().to_bytes_be()).unwrap();
        for test in group.tests {
            let block = decrypted(&test.ct, &d, &n, size);
            let length = test.pt.len();
            let message = block.and_then(|block| rsa::unpad(&block, &test.label, length).ok());
            let message = message.map(|message| message.with(<[u8]>::to_vec));
            if test.result.must_fail() {
                assert_eq!(message, None, "{}: {}", test.tc_id, test.comment);
                refused += 1;
            } else {
                assert_eq!(message.as_deref(), Some(&test.pt[..]), "{}: {}", test.tc_id, test.comment);
                opened += 1;
            }
        }
        // And the way there: what we seal, the key's holder opens.
        let (ciphertext, secret) = public.seal(b"label").unwrap();
        let block = decrypted(&ciphertext, &d, &n, size).unwrap();
        let opened = rsa::unpad(&block, b"label", 32).unwrap();
        assert_eq!(opened.with(<[u8]>::to_vec), secret.with(<[u8]>::to_vec));
    }
    assert!(opened > 5 && refused > 5, "{opened} opened, {refused} refused");
}

#[test]
fn rsa_oaep_2048() {
    unpad(rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256);
}

#[test]
fn rsa_oaep_3072() {
    unpad(rsa_oaep::TestName::Rsa3072Sha256Mgf1Sha256);
}

#[test]
fn rsa_oaep_4096() {
    unpad(rsa_oaep::TestName::Rsa4096Sha256Mgf1Sha256);
}

#[test]
fn aes_256_gcm() {
    let (mut opened, mut refused) = (0, 0);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let nonce: [u8; 12] = test.nonce.as_slice().try_into().unwrap();
            let plaintext = cipher.decrypt((&nonce).into(), Payload { msg: &sealed, aad: &test.aad }).ok();
            if test.result.must_fail() {
                assert_eq!(plaintext, None, "{}: {}", test.tc_id, test.comment);
                refused += 1;
            } else {
                assert_eq!(plaintext.as_deref(), Some(&test.pt[..]), "{}: {}", test.tc_id, test.comment);
                opened += 1;
            }
        }
    }
    assert!(opened > 20 && refused > 20, "{opened} opened, {refused} refused");
}

/// Ours gives 32 bytes; the first 32 of a longer output are the same.
#[test]
fn hkdf_sha256() {
    let mut derived = 0;
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            if test.result.must_fail() {
                continue;
            }
            let okm = kdf::derive(&test.ikm, &test.salt, &[&test.info]);
            let length = test.okm.len().min(32);
            assert_eq!(okm[..length], test.okm[..length], "{}: {}", test.tc_id, test.comment);
            derived += 1;
        }
    }
    assert!(derived > 50, "{derived}");
}
