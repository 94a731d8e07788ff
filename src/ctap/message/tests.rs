use super::*;
use crate::crypto::ecdsa::PublicKey;
use crate::ctap::Status;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/ctap/requests.json")).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[track_caller]
fn same(name: &str, request: Result<Vec<u8>, CtapError>) {
    assert_eq!(request.unwrap(), unhex(&vectors()[name]), "{name}");
}

/// The inputs that `generate.py` used.
fn platform_key() -> KeyAgreement {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/ctap/pin_protocols.json")).unwrap();
    let coordinate = |name: &str| unhex(&vectors[0][name]).try_into().unwrap();
    KeyAgreement { x: coordinate("platform_x"), y: coordinate("platform_y") }
}

/// The key that `generate.py` gives to its credential: the other side's of the second vector.
fn credential_key() -> PublicKey {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/ctap/pin_protocols.json")).unwrap();
    let point = [vec![4], unhex(&vectors[1]["token_x"]), unhex(&vectors[1]["token_y"])].concat();
    PublicKey::from_bytes(&point.try_into().unwrap()).unwrap()
}

fn fixed_bytes(what: &str) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(format!("rootseal test vector: {what}")).to_vec()
}

#[test]
fn requests_are_canonical() {
    let client_data_hash: [u8; 32] = fixed_bytes("client data").try_into().unwrap();
    let id = fixed_bytes("credential");
    let key = platform_key();
    let auth = || PinUvAuth { param: vec![7; 32], protocol: 2 };
    let mut new = NewCredential {
        rp_id: "rootseal.test",
        rp_name: "rootseal",
        user_id: &[1, 2],
        user_name: "slot",
        client_data_hash: &client_data_hash,
        exclude: &[],
    };
    same("make_credential", new.encode(None));
    let exclude = [id.as_slice()];
    new.exclude = &exclude;
    same("make_credential_excluding_with_pin", new.encode(Some(&auth())));

    let assertion = |up, protocol: Option<u8>, auth| AssertionRequest {
        rp_id: "rootseal.test",
        client_data_hash: &client_data_hash,
        credential_id: &id,
        hmac_secret: protocol.map(|protocol| HmacSecretInput {
            key_agreement: key,
            salt_enc: vec![5; 64],
            salt_auth: vec![6; 16],
            protocol,
        }),
        up,
        auth,
    };
    same("probe", assertion(false, None, None).encode());
    same("hmac_secret_one", assertion(true, Some(1), None).encode());
    same("hmac_secret_two_with_pin", assertion(true, Some(2), Some(auth())).encode());

    same("get_pin_retries", get_pin_retries(1));
    same("get_key_agreement", get_key_agreement(2));
    same("get_pin_token", get_pin_token(1, &key, &[8; 16]));
    same(
        "get_pin_uv_auth_token_using_pin_with_permissions",
        get_pin_uv_auth_token_using_pin_with_permissions(2, &key, &[8; 32], 2, "rootseal.test"),
    );
}

const GET_INFO: &[u8] = include_bytes!("../../../fuzz/corpus/ctap_cbor/get_info");
const MADE: &[u8] = include_bytes!("../../../fuzz/corpus/ctap_cbor/make_credential");
const ASSERTED: &[u8] = include_bytes!("../../../fuzz/corpus/ctap_cbor/get_assertion");
const KEY: &[u8] = include_bytes!("../../../fuzz/corpus/ctap_cbor/key_agreement");

#[test]
fn get_info_is_read() {
    let info = GetInfo::decode(GET_INFO).unwrap();
    assert_eq!(info.versions, ["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"]);
    assert!(info.has_extension("hmac-secret") && !info.has_extension("hmac-secret-mc"));
    assert_eq!(info.aaguid, fixed_bytes("aaguid")[..16]);
    assert_eq!(
        info.options,
        Options { client_pin: Some(true), uv: None, pin_uv_auth_token: true, always_uv: false }
    );
    assert_eq!((info.max_msg_size, info.max_credential_id_length), (1200, Some(128)));
    assert_eq!(info.protocol(), Ok(crate::ctap::PinUvAuthProtocol::Two));
}

#[test]
fn what_an_old_token_leaves_out_has_its_default() {
    let info = GetInfo::decode(include_bytes!("../../../fuzz/corpus/ctap_cbor/get_info_minimal")).unwrap();
    assert_eq!((info.max_msg_size, info.min_pin_length, info.force_pin_change), (1024, 4, false));
    assert_eq!(info.options, Options::default());
    assert_eq!(info.protocol(), Ok(crate::ctap::PinUvAuthProtocol::One));
    let unknown = GetInfo { pin_uv_auth_protocols: vec![9], ..info };
    assert!(unknown.protocol().is_err());
}

#[test]
fn replies_are_read() {
    let made = CredentialReply::decode(MADE).unwrap().auth_data;
    assert!(made.user_present && !made.user_verified);
    assert_eq!(made.hmac_secret, Some(HmacSecret::Enabled(true)));
    let attested = made.attested.unwrap();
    assert_eq!(attested.credential_id, fixed_bytes("credential"));
    assert_eq!(attested.public_key, credential_key());
    let asserted = AssertionReply::decode(ASSERTED).unwrap();
    assert!(asserted.is_signed_by(&credential_key(), &fixed_bytes("client data").try_into().unwrap()));
    assert!(!asserted.is_signed_by(&credential_key(), &[0; 32]));
    assert_eq!(asserted.credential_id, Some(fixed_bytes("credential")));
    assert!(asserted.auth_data.user_verified);
    assert_eq!(asserted.auth_data.hmac_secret, Some(HmacSecret::Encrypted(vec![9; 80])));
    assert!(ClientPinReply::decode(KEY).unwrap().key_agreement.is_some());
}

#[test]
fn a_reply_cut_short_anywhere_is_refused() {
    for (reply, name) in
        [(GET_INFO, "get_info"), (MADE, "make_credential"), (ASSERTED, "get_assertion"), (KEY, "key")]
    {
        for length in 0..reply.len() {
            let cut = &reply[..length];
            let refused = match name {
                "get_info" => GetInfo::decode(cut).is_err(),
                "make_credential" => CredentialReply::decode(cut).is_err(),
                "get_assertion" => AssertionReply::decode(cut).is_err(),
                _ => ClientPinReply::decode(cut).is_err(),
            };
            assert!(refused, "{name} of {length} bytes");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for reply in [GET_INFO, MADE, ASSERTED, KEY] {
        let mut damaged = reply.to_vec();
        for at in 0..reply.len() {
            for bit in 0..8 {
                damaged[at] ^= 1 << bit;
                let _any = GetInfo::decode(&damaged);
                let _any = CredentialReply::decode(&damaged);
                let _any = AssertionReply::decode(&damaged);
                let _any = ClientPinReply::decode(&damaged);
                damaged[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_status_becomes_an_error() {
    assert_eq!(body(&[0, 1, 2]), Ok(&[1, 2][..]));
    assert_eq!(body(&[]), Err(CtapError::Malformed("an empty reply")));
    assert_eq!(body(&[0x31]), Err(Status::PinInvalid.into()));
    assert_eq!(body(&[0x2f]), body(&[0x3a]));
    assert_eq!(body(&[0x06]), Err(CtapError::Busy));
    assert_eq!(body(&[0xf1, 0]), Err(Status::Other(0xf1).into()));
}
