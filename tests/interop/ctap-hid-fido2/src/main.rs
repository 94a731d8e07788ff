//! ctap-hid-fido2 as a program, on the one token that is plugged in. `hmac_secret.rs` beside this package does the
//! same with rootseal's client.
//!
//! ```text
//! ctap-hid-fido2-peer 1|2 make RP                   prints ID and KEY
//! ctap-hid-fido2-peer 1|2 ask RP ID SALT [SALT]     prints a secret for each salt
//! ```
//!
//! 1 or 2 is the PIN/UV protocol. Bytes are hexadecimal digits. The PIN is on standard input, if there is one.

use std::io::Read as _;

use anyhow::{Result, anyhow, bail, ensure};
use ctap_hid_fido2::{
    FidoKeyHid, FidoKeyHidFactory, LibCfg,
    fidokey::{AssertionExtension, CredentialExtension, GetAssertionArgsBuilder, MakeCredentialArgsBuilder},
    verifier,
};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (protocol, command) = words.split_first().ok_or_else(|| anyhow!("which PIN/UV protocol?"))?;
    let mut pin = String::new();
    std::io::stdin().read_to_string(&mut pin)?;
    let pin = Some(pin.trim_end()).filter(|pin| !pin.is_empty());
    let config = LibCfg::init().with_keep_alive_msg_to_stderr(true);
    let token = FidoKeyHidFactory::create(&config)?.with_pin_protocol_version(protocol.parse()?);
    match *command {
        ["make", rp] => make(&token, rp, pin),
        ["ask", rp, id, salt] => {
            ask(&token, rp, id, pin, &AssertionExtension::HmacSecret(Some(bytes(salt)?)))
        }
        ["ask", rp, id, first, second] => {
            let salts = Some((bytes(first)?, bytes(second)?));
            ask(&token, rp, id, pin, &AssertionExtension::HmacSecret2(salts))
        }
        _ => bail!("make RP, or ask RP ID SALT [SALT]"),
    }
}

fn make(token: &FidoKeyHid, rp: &str, pin: Option<&str>) -> Result<()> {
    let challenge = verifier::create_challenge();
    let new = MakeCredentialArgsBuilder::new(rp, &challenge)
        .extensions(&[CredentialExtension::HmacSecret(Some(true))]);
    let new = if let Some(pin) = pin { new.pin(pin) } else { new.without_pin_and_uv() };
    let made = token.make_credential_with_args(&new.build())?;
    ensure!(verifier::verify_attestation(rp, &challenge, &made).is_success, "its attestation is not valid");
    println!("{} {}", hex::encode(made.credential_descriptor.id), hex::encode(made.credential_publickey.der));
    Ok(())
}

fn ask(token: &FidoKeyHid, rp: &str, id: &str, pin: Option<&str>, salts: &AssertionExtension) -> Result<()> {
    let question = GetAssertionArgsBuilder::new(rp, &verifier::create_challenge())
        .credential_id(&hex::decode(id)?)
        .extensions(std::slice::from_ref(salts));
    let question = if let Some(pin) = pin { question.pin(pin) } else { question.without_pin_and_uv() };
    let answers = token.get_assertion_with_args(&question.build())?;
    for extension in answers.iter().flat_map(|answer| &answer.extensions) {
        match extension {
            AssertionExtension::HmacSecret(Some(secret)) => println!("{}", hex::encode(secret)),
            AssertionExtension::HmacSecret2(Some((first, second))) => {
                println!("{}\n{}", hex::encode(first), hex::encode(second));
            }
            _ => bail!("it answered with something else"),
        }
    }
    Ok(())
}

fn bytes(salt: &str) -> Result<[u8; 32]> {
    hex::decode(salt)?.try_into().map_err(|_length| anyhow!("a salt has 32 bytes"))
}
