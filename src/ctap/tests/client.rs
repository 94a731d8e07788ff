use super::fake::{Behaviour, ID, PIN, RP, Seen, fake, our_key, output};
use super::mock::{Mock, patience};
use crate::ctap::cbor;
use crate::ctap::{
    Client, Credential, CtapError, HmacOutput, HmacRequest, KeepAlive, NewCredential, Permission, PinRetries,
    PinUvAuthProtocol, PinUvToken, Probe, Status, Wait,
};
use crate::secret::Pin;
use std::collections::BTreeSet;
use std::sync::Arc;

fn connected(behaviour: Behaviour) -> (Client<Mock>, Seen) {
    let (mock, seen) = fake(behaviour);
    (Client::connect(mock, &patience()).unwrap(), seen)
}

fn token(client: &mut Client<Mock>, pin: &str, permission: Permission) -> Result<PinUvToken, CtapError> {
    client.pin_token(&Pin::copy_from(pin.as_bytes()), permission, RP, &patience())
}

fn make(client: &mut Client<Mock>, auth: Option<&PinUvToken>) -> Result<Credential, CtapError> {
    let new = NewCredential {
        rp_id: RP,
        rp_name: "rootseal",
        user_id: b"user",
        user_name: "slot",
        client_data_hash: &[3; 32],
        exclude: &[],
    };
    client.make_credential(&new, auth, &mut Wait { patience: &patience(), on_keepalive: &mut |_| {} })
}

fn ask(client: &mut Client<Mock>, two: bool, auth: Option<&PinUvToken>) -> Result<HmacOutput, CtapError> {
    let request = HmacRequest {
        rp_id: RP,
        credential_id: ID,
        public_key: &our_key(),
        salt: &[1; 32],
        second_salt: two.then_some(&[2; 32]),
        client_data_hash: &[3; 32],
    };
    let mut heard = Vec::new();
    let result = client.hmac_secret(
        &request,
        auth,
        &mut Wait { patience: &patience(), on_keepalive: &mut |k| heard.push(k) },
    );
    assert!(result.is_err() || heard == [KeepAlive::TouchNeeded], "the prompt is driven by the token");
    result
}

/// What comes of one salt, without a PIN, with this behaviour.
fn asked(behaviour: Behaviour) -> CtapError {
    ask(&mut connected(behaviour).0, false, None).err().unwrap()
}

/// What comes of a new credential, without a PIN, with this behaviour.
fn made(behaviour: Behaviour) -> CtapError {
    make(&mut connected(behaviour).0, None).err().unwrap()
}

const EACH: [(PinUvAuthProtocol, bool); 4] = [
    (PinUvAuthProtocol::One, false),
    (PinUvAuthProtocol::One, true),
    (PinUvAuthProtocol::Two, false),
    (PinUvAuthProtocol::Two, true),
];

#[test]
fn the_whole_path_works_with_both_protocols_old_and_new() {
    for (protocol, permissions) in EACH {
        let (mut client, seen) = connected(Behaviour { protocol, permissions, ..Behaviour::default() });
        let auth = token(&mut client, PIN, Permission::MakeCredential).unwrap();
        let credential = make(&mut client, Some(&auth)).unwrap();
        assert_eq!((credential.id.as_slice(), credential.aaguid), (ID, [0xaa; 16]));
        assert_eq!(credential.public_key, our_key());
        let auth = token(&mut client, PIN, Permission::GetAssertion).unwrap();
        let answer = ask(&mut client, true, Some(&auth)).unwrap();
        answer.first.with(|bytes| assert_eq!(bytes, output(&[1; 32], true)));
        answer.second.unwrap().with(|bytes| assert_eq!(bytes, output(&[2; 32], true)));
        assert!(answer.user_verified);
        let answer = ask(&mut client, false, None).unwrap();
        answer.first.with(|bytes| assert_eq!(bytes, output(&[1; 32], false)));
        assert!(answer.second.is_none() && !answer.user_verified);
        let get_token = (6, if permissions { 9 } else { 5 });
        assert_eq!(seen.lock().unwrap()[..4], [(4, 0), (6, 2), get_token, (1, 0)]);
    }
}

#[test]
fn a_wrong_pin_is_sent_once_and_what_is_no_pin_never() {
    let (mut client, seen) = connected(Behaviour::default());
    assert_eq!(token(&mut client, "654321", Permission::GetAssertion).err(), Some(Status::PinInvalid.into()));
    assert_eq!(token(&mut client, "123", Permission::GetAssertion).err(), Some(CtapError::NotAPin));
    assert_eq!(*seen.lock().unwrap(), [(4, 0), (6, 2), (6, 9)]);
    let retries = PinRetries { retries: 5, power_cycle: true };
    assert_eq!(client.pin_retries(&patience()), Ok(retries));
}

#[test]
fn a_token_that_takes_no_pin_is_not_sent_one() {
    for (client_pin, force_pin_change, why) in [
        (Some(false), false, Status::PinNotSet.into()),
        (None, false, CtapError::Unsupported("a PIN")),
        (Some(true), true, Status::PinPolicy.into()),
    ] {
        let (mut client, seen) =
            connected(Behaviour { force_pin_change, client_pin, ..Behaviour::default() });
        assert_eq!(token(&mut client, PIN, Permission::GetAssertion).err(), Some(why));
        assert_eq!(seen.lock().unwrap().len(), 1, "getInfo alone");
    }
}

#[test]
fn a_pin_token_of_a_wrong_length_is_refused() {
    let (mut client, _) = connected(Behaviour { cut: 16, ..Behaviour::default() });
    let why = token(&mut client, PIN, Permission::GetAssertion).err();
    assert_eq!(why, Some(CtapError::Malformed("a PIN/UV token of an impossible length")));
}

#[test]
fn refusals_have_their_names() {
    for (code, status) in [
        (0x27, Status::OperationDenied),
        (0x2d, Status::KeepaliveCancel),
        (0x2e, Status::NoCredentials),
        (0x2f, Status::TouchTimeout),
        (0x36, Status::PinRequired),
        (0x7f, Status::Other(0x7f)),
    ] {
        let refuse = Some((2, code));
        assert_eq!(asked(Behaviour { refuse, ..Behaviour::default() }), status.into());
    }
    for (code, status) in [(0x32, Status::PinBlocked), (0x34, Status::PinAuthBlocked)] {
        let (mut client, _) = connected(Behaviour { refuse: Some((6, code)), ..Behaviour::default() });
        assert_eq!(token(&mut client, PIN, Permission::GetAssertion).err(), Some(status.into()));
    }
    let refuse = Some((1, 0x19));
    assert_eq!(made(Behaviour { refuse, ..Behaviour::default() }), Status::CredentialExcluded.into());
}

#[test]
fn an_answer_that_is_not_the_one_asked_for_is_refused() {
    let other = Behaviour::default;
    let cases = [
        (Behaviour { flags: 0x01, ..other() }, CtapError::Malformed("an answer without a touch")),
        (Behaviour { flags: 0x04, ..other() }, CtapError::UvMismatch),
        (
            Behaviour { rp: "evil.test", ..other() },
            CtapError::Malformed("an answer for another relying party"),
        ),
        (Behaviour { hmac_secret: false, ..other() }, CtapError::Unsupported("hmac-secret")),
    ];
    for (behaviour, why) in cases {
        assert_eq!(asked(behaviour.clone()), why);
        assert_eq!(made(behaviour), why);
    }
    let foreign = Behaviour { id: b"another credential", ..other() };
    assert_eq!(asked(foreign), CtapError::Malformed("an answer of another credential"));
    let short = Behaviour { cut: 16, ..other() };
    assert_eq!(asked(short), CtapError::Malformed("an hmac-secret of another length than asked for"));
    let none = Behaviour { enabled: false, ..other() };
    assert_eq!(made(none), CtapError::Unsupported("hmac-secret for this credential"));
    assert_eq!(asked(Behaviour { key: 0x44, ..other() }), CtapError::Signature);
    assert_eq!(asked(Behaviour { signs_for: Some([4; 32]), ..other() }), CtapError::Signature);
    let eddsa = Behaviour { algorithm: -8, ..other() };
    assert_eq!(made(eddsa), CtapError::Malformed("a credential with another kind of key than asked for"));
    let nameless = Behaviour { id: b"", ..other() };
    assert_eq!(made(nameless), CtapError::Malformed("a credential id of an impossible length"));
}

#[test]
fn a_user_who_was_to_be_verified_must_have_been() {
    let (mut client, _) = connected(Behaviour { flags: 0x04, ..Behaviour::default() });
    let auth = token(&mut client, PIN, Permission::GetAssertion).unwrap();
    assert_eq!(ask(&mut client, false, Some(&auth)).err(), Some(CtapError::UvMismatch));
}

#[test]
fn two_salts_want_two_answers_and_one_wants_one() {
    let (mut client, _) = connected(Behaviour { cut: 32, ..Behaviour::default() });
    let why = CtapError::Malformed("an hmac-secret of another length than asked for");
    assert_eq!(ask(&mut client, true, None).err(), Some(why));
    assert_eq!(ask(&mut client, false, None).err(), Some(why));
}

fn probe(client: &mut Client<Mock>, id: &[u8]) -> Result<Probe, CtapError> {
    client.has_credential(RP, id, &our_key(), &patience())
}

/// What a probe for its own credential says of a token with this behaviour.
fn probed(behaviour: Behaviour) -> Result<Probe, CtapError> {
    probe(&mut connected(behaviour).0, ID)
}

#[test]
fn a_probe_finds_the_credential_without_its_user() {
    for names_credential in [true, false] {
        let (mut client, _) = connected(Behaviour { names_credential, ..Behaviour::default() });
        assert_eq!(probe(&mut client, ID), Ok(Probe::Found));
        assert_eq!(probe(&mut client, b"not it"), Ok(Probe::Absent));
    }
}

#[test]
fn a_token_that_only_claims_to_hold_the_credential_is_not_believed() {
    assert_eq!(probed(Behaviour { key: 0x44, ..Behaviour::default() }), Ok(Probe::Absent));
    for signs_for in [Some([0; 32]), Some([3; 32])] {
        assert_eq!(probed(Behaviour { signs_for, ..Behaviour::default() }), Ok(Probe::Absent));
    }
}

#[test]
fn each_probe_asks_for_something_new() {
    let (mock, _) = fake(Behaviour::default());
    let sent = Arc::clone(&mock.sent);
    let mut client = Client::connect(mock, &patience()).unwrap();
    assert_eq!([probe(&mut client, ID), probe(&mut client, ID)], [Ok(Probe::Found); 2]);
    let sent = sent.lock().unwrap();
    let questions = sent.iter().filter_map(|(_, _, message)| message.strip_prefix(&[2]));
    let challenges: BTreeSet<_> = questions
        .map(|body| cbor::decode(body).unwrap().map().unwrap().at(2).unwrap().bytes().unwrap().to_vec())
        .collect();
    assert_eq!(challenges.len(), 2);
}

#[test]
fn a_probe_sends_no_id_that_is_too_long_for_the_token() {
    let (mut client, seen) = connected(Behaviour { max_id: 18, ..Behaviour::default() });
    assert_eq!(probe(&mut client, ID), Ok(Probe::Absent));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_probe_that_tells_nothing_says_so() {
    for code in [0x36, 0x3b, 0x2b, 0x30] {
        let refuse = Some((2, code));
        assert_eq!(probed(Behaviour { refuse, ..Behaviour::default() }), Ok(Probe::Silent));
    }
    let refuse = Some((2, 0x22));
    assert_eq!(probed(Behaviour { refuse, ..Behaviour::default() }), Ok(Probe::Absent));
    let refuse = Some((2, 0x7f));
    assert_eq!(probed(Behaviour { refuse, ..Behaviour::default() }), Err(Status::Other(0x7f).into()));
    let rp = "evil.test";
    assert!(probed(Behaviour { rp, ..Behaviour::default() }).is_err());
    let id = b"another credential";
    assert!(probed(Behaviour { id, ..Behaviour::default() }).is_err());
}

#[test]
fn a_request_that_the_token_cannot_take_is_not_sent() {
    let (mut client, seen) = connected(Behaviour { max_id: 255, ..Behaviour::default() });
    let long = [0; 255];
    let many = [&long[..]; 5];
    let new = NewCredential {
        rp_id: RP,
        rp_name: "rootseal",
        user_id: b"user",
        user_name: "slot",
        client_data_hash: &[3; 32],
        exclude: &many,
    };
    let patience = patience();
    let wait = &mut Wait { patience: &patience, on_keepalive: &mut |_| {} };
    let why = client.make_credential(&new, None, wait).err();
    assert_eq!(why, Some(CtapError::Unsupported("a request of this length")));
    assert_eq!(seen.lock().unwrap().len(), 1);
}
