//! rootseal's FIDO2 client as a program, on the one token that is plugged in, to be held against others' clients.
//!
//! ```text
//! hmac_secret make RP                       prints ID and KEY
//! hmac_secret ask RP ID KEY SALT [SALT]     prints a secret for each salt
//! ```
//!
//! Bytes are hexadecimal digits. The PIN is on standard input, if there is one. For tests alone: it prints what the
//! daemon keeps to itself.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's tool prints, and ends where it cannot go on"
)]

use rootseal::channel::{Cancel, Patience};
use rootseal::crypto::ecdsa::PublicKey;
use rootseal::ctap::{Client, HmacRequest, NewCredential, Permission, PinUvToken, Wait};
use rootseal::secret::{Pin, TokenSecret};
use rootseal::transport::hidraw::{HidrawChannel, fido_devices};
use std::io::Read as _;
use std::time::{Duration, Instant};

const CLIENT_DATA_HASH: &[u8; 32] = &[3; 32];

struct Token {
    client: Client<HidrawChannel>,
    patience: Patience,
    pin: Option<Pin>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut pin = String::new();
    std::io::stdin().read_to_string(&mut pin).unwrap();
    let pin = pin.trim_end();
    let patience =
        Patience { deadline: Instant::now() + Duration::from_mins(2), cancel: Cancel::new().unwrap() };
    let devices = fido_devices().unwrap();
    let [device] = &devices[..] else { panic!("not one token, but {}", devices.len()) };
    let client = Client::connect(HidrawChannel::open(&device.path).unwrap(), &patience).unwrap();
    let pin = (!pin.is_empty()).then(|| Pin::copy_from(pin.as_bytes()));
    let mut token = Token { client, patience, pin };
    match words[..] {
        ["make", rp] => token.make(rp),
        ["ask", rp, id, key, salt] => token.ask(rp, &unhex(id), key, salt, None),
        ["ask", rp, id, key, first, second] => token.ask(rp, &unhex(id), key, first, Some(second)),
        _ => panic!("make RP, or ask RP ID KEY SALT [SALT]"),
    }
}

impl Token {
    fn verified(&mut self, permission: Permission, rp: &str) -> Option<PinUvToken> {
        let pin = self.pin.as_ref()?;
        Some(self.client.pin_token(pin, permission, rp, &self.patience).unwrap())
    }

    fn make(&mut self, rp: &str) {
        let auth = self.verified(Permission::MakeCredential, rp);
        let new = NewCredential {
            rp_id: rp,
            rp_name: "rootseal",
            user_id: b"user",
            user_name: "slot",
            client_data_hash: CLIENT_DATA_HASH,
            exclude: &[],
        };
        let wait = &mut Wait { patience: &self.patience, on_keepalive: &mut |_| {} };
        let made = self.client.make_credential(&new, auth.as_ref(), wait).unwrap();
        println!("{} {}", hex(&made.id), hex(made.public_key.as_bytes()));
    }

    fn ask(&mut self, rp: &str, id: &[u8], key: &str, salt: &str, second_salt: Option<&str>) {
        let auth = self.verified(Permission::GetAssertion, rp);
        let salt_of = |text| <[u8; 32]>::try_from(unhex(text)).unwrap();
        let second_salt = second_salt.map(salt_of);
        let request = HmacRequest {
            rp_id: rp,
            credential_id: id,
            public_key: &PublicKey::from_bytes(&unhex(key).try_into().unwrap()).unwrap(),
            salt: &salt_of(salt),
            second_salt: second_salt.as_ref(),
            client_data_hash: CLIENT_DATA_HASH,
        };
        let wait = &mut Wait { patience: &self.patience, on_keepalive: &mut |_| {} };
        let secrets = self.client.hmac_secret(&request, auth.as_ref(), wait).unwrap();
        let print = |secret: &TokenSecret| println!("{}", secret.with(hex));
        print(&secrets.first);
        secrets.second.as_ref().inspect(|secret| print(secret));
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().as_chunks().0.iter().map(byte).collect()
}
