//! From a PIN to the right to use it: PIN/UV tokens (CTAP 2.1 section 6.5.5).

use super::client::Client;
use super::message::{
    ClientPinReply, KeyAgreement, PinUvAuth, get_key_agreement, get_pin_retries, get_pin_token,
    get_pin_uv_auth_token_using_pin_with_permissions,
};
use super::protocol::{PinUvAuthProtocol, SharedSecret};
use super::{CtapError, Status};
use crate::channel::{Channel, Patience};
use crate::secret::Pin;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Tries that a token still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRetries {
    /// Wrong PINs until the PIN is blocked for good.
    pub retries: u64,
    /// The token must be unplugged before it takes another PIN.
    pub power_cycle: bool,
}

/// What a PIN/UV token is good for. Each is good for one command: a touch takes its permissions away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `mc`
    MakeCredential,
    /// `ga`
    GetAssertion,
}

/// Proof that the PIN was right; wiped on drop.
pub struct PinUvToken {
    protocol: PinUvAuthProtocol,
    token: Zeroizing<Vec<u8>>,
}

impl PinUvToken {
    pub(super) fn authenticate(&self, client_data_hash: &[u8; 32]) -> Result<PinUvAuth, CtapError> {
        let param = self.protocol.authenticate(&self.token, client_data_hash)?;
        Ok(PinUvAuth { param, protocol: self.protocol.number() })
    }
}

impl<C: Channel> Client<C> {
    /// How many wrong PINs the token still forgives.
    ///
    /// # Errors
    /// [`CtapError::Status`] with [`Status::PinNotSet`] or others, [`CtapError::Channel`].
    pub fn pin_retries(&mut self, patience: &Patience) -> Result<PinRetries, CtapError> {
        let protocol = self.pin_protocol()?;
        let reply = self.client_pin(&get_pin_retries(protocol.number())?, patience)?;
        Ok(PinRetries {
            retries: reply.pin_retries.ok_or(CtapError::Malformed("no number of PIN tries"))?,
            power_cycle: reply.power_cycle_state.unwrap_or(false),
        })
    }

    /// Sends the PIN. A wrong one costs a try ([`Status::PinInvalid`]): the caller never repeats it.
    ///
    /// # Errors
    /// [`CtapError::NotAPin`], [`CtapError::Status`], [`CtapError::Channel`].
    pub fn pin_token(
        &mut self,
        pin: &Pin,
        permission: Permission,
        rp_id: &str,
        patience: &Patience,
    ) -> Result<PinUvToken, CtapError> {
        let protocol = self.pin_protocol()?;
        if self.info().force_pin_change {
            return Err(Status::PinPolicy.into());
        }
        let hash = pin.with(pin_hash)?;
        let (ours, secret) = self.shared_secret(protocol, patience)?;
        let encrypted = secret.encrypt(hash.as_ref())?;
        let request = if self.info().options.pin_uv_auth_token {
            let permissions = match permission {
                Permission::MakeCredential => 0x01,
                Permission::GetAssertion => 0x02,
            };
            let number = protocol.number();
            get_pin_uv_auth_token_using_pin_with_permissions(number, &ours, &encrypted, permissions, rp_id)?
        } else {
            get_pin_token(protocol.number(), &ours, &encrypted)?
        };
        let reply = self.client_pin(&request, patience)?;
        let encrypted = reply.pin_uv_auth_token.ok_or(CtapError::Malformed("no PIN/UV token"))?;
        let token = secret.decrypt(&encrypted)?;
        match (protocol, token.len()) {
            (PinUvAuthProtocol::One, 16 | 32) | (PinUvAuthProtocol::Two, 32) => {
                Ok(PinUvToken { protocol, token })
            }
            _ => Err(CtapError::Malformed("a PIN/UV token of an impossible length")),
        }
    }

    /// `getKeyAgreement`, and our half.
    pub(super) fn shared_secret(
        &mut self,
        protocol: PinUvAuthProtocol,
        patience: &Patience,
    ) -> Result<(KeyAgreement, SharedSecret), CtapError> {
        let reply = self.client_pin(&get_key_agreement(protocol.number())?, patience)?;
        let token = reply.key_agreement.ok_or(CtapError::Malformed("no key agreement key"))?;
        SharedSecret::encapsulate(protocol, &token)
    }

    fn client_pin(&mut self, request: &[u8], patience: &Patience) -> Result<ClientPinReply, CtapError> {
        ClientPinReply::decode(&self.quick(request, patience)?)
    }

    fn pin_protocol(&self) -> Result<PinUvAuthProtocol, CtapError> {
        match self.info().options.client_pin {
            Some(true) => self.info().protocol(),
            Some(false) => Err(Status::PinNotSet.into()),
            None => Err(CtapError::Unsupported("a PIN")),
        }
    }
}

/// LEFT(SHA-256(PIN), 16), for what can be a PIN (section 6.5.1).
fn pin_hash(pin: &[u8]) -> Result<Zeroizing<[u8; 16]>, CtapError> {
    let text = std::str::from_utf8(pin).or(Err(CtapError::NotAPin))?;
    if pin.len() > 63 || text.chars().count() < 4 || text.ends_with('\0') {
        return Err(CtapError::NotAPin);
    }
    // Section 6.5.1: in Unicode's form NFC, whatever the keyboard made of an umlaut.
    let mut normal = Zeroizing::new(String::with_capacity(pin.len().saturating_mul(3)));
    normal.extend(text.nfc());
    if normal.len() > 63 {
        return Err(CtapError::NotAPin);
    }
    let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(normal.as_bytes())));
    let mut hash = Zeroizing::new([0; 16]);
    for (to, from) in hash.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_pin_is_sent() {
        for wrong in [&b"123"[..], "äöü".as_bytes(), &[b'1'; 64], b"\xff\xfe\xfd\xfc", b"1234\0", b""] {
            assert_eq!(pin_hash(wrong), Err(CtapError::NotAPin));
        }
        assert_eq!(pin_hash("schu\u{308}ler".as_bytes()), pin_hash("sch\u{fc}ler".as_bytes()));
        for right in [&b"1234"[..], "äöüß".as_bytes(), &[b'1'; 63]] {
            assert!(pin_hash(right).is_ok());
        }
    }
}
