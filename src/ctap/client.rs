//! The commands a vault needs of a token: make a credential, look for one, ask it for its secret.

use super::hid::Link;
use super::message::{
    self, AUTHENTICATOR_GET_INFO, AssertionReply, AssertionRequest, AuthData, CredentialReply, GetInfo,
    HmacSecret, HmacSecretInput, NewCredential,
};
use super::pin::PinUvToken;
use super::{CtapError, Status, Wait};
use crate::channel::{Channel, Patience};
use crate::crypto::ecdsa::PublicKey;
use crate::crypto::random;
use crate::secret::TokenSecret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const HMAC_SECRET: &str = "hmac-secret";

/// A token that answers.
pub struct Client<C> {
    link: Link<C>,
    info: GetInfo,
}

/// A new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id, at most 1023 bytes.
    pub id: Vec<u8>,
    /// The model of the token.
    pub aaguid: [u8; 16],
    /// The key that it signs with.
    pub public_key: PublicKey,
}

/// What a silent probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The token holds the credential: it signed a number that nobody could know before.
    Found,
    /// The token does not hold it, or cannot sign with it.
    Absent,
    /// The token does not say so without its user.
    Silent,
}

/// A question to a credential.
pub struct HmacRequest<'a> {
    /// Relying party's id.
    pub rp_id: &'a str,
    /// The credential's id.
    pub credential_id: &'a [u8],
    /// The key that it signs with.
    pub public_key: &'a PublicKey,
    /// The first salt.
    pub salt: &'a [u8; 32],
    /// A second one, answered with the same touch.
    pub second_salt: Option<&'a [u8; 32]>,
    /// SHA-256 of the client data.
    pub client_data_hash: &'a [u8; 32],
}

/// The answer. It differs with and without user verification.
pub struct HmacOutput {
    /// For the first salt.
    pub first: TokenSecret,
    /// For the second salt; present when one was given.
    pub second: Option<TokenSecret>,
    /// Whether the token verified its user, which it did if and only if it was asked to.
    pub user_verified: bool,
}

impl<C: Channel> Client<C> {
    /// Opens a channel of our own to the token and asks it what it can do.
    ///
    /// # Errors
    /// [`CtapError::Unsupported`] for a token without FIDO2, [`CtapError::Channel`], [`CtapError::Malformed`].
    pub fn connect(channel: C, patience: &Patience) -> Result<Self, CtapError> {
        let mut link = Link::open(channel, patience)?;
        let wait = &mut Wait { patience, on_keepalive: &mut |_| {} };
        let info = GetInfo::decode(message::body(&link.cbor(&[AUTHENTICATOR_GET_INFO], wait)?)?)?;
        if !info.versions.iter().any(|version| version.starts_with("FIDO_2_")) {
            return Err(CtapError::Unsupported("FIDO2"));
        }
        Ok(Self { link, info })
    }

    /// What the token said of itself when it was connected.
    pub fn info(&self) -> &GetInfo {
        &self.info
    }

    /// Makes a credential that can do `hmac-secret`. Needs a touch, and the PIN where the token has one.
    ///
    /// # Errors
    /// All of [`CtapError`]; [`Status::CredentialExcluded`] if the token holds an excluded credential.
    pub fn make_credential(
        &mut self,
        new: &NewCredential<'_>,
        auth: Option<&PinUvToken>,
        wait: &mut Wait<'_>,
    ) -> Result<Credential, CtapError> {
        self.needs_hmac_secret()?;
        let proof = auth.map(|token| token.authenticate(new.client_data_hash)).transpose()?;
        let reply = self.command(&new.encode(proof.as_ref())?, wait)?;
        let auth_data = CredentialReply::decode(&reply)?.auth_data;
        check(&auth_data, new.rp_id, auth)?;
        if auth_data.hmac_secret != Some(HmacSecret::Enabled(true)) {
            return Err(CtapError::Unsupported("hmac-secret for this credential"));
        }
        let made = auth_data.attested.ok_or(CtapError::Malformed("a credential without its id"))?;
        // Web Authentication section 4 has no longer ones; an empty one names nothing.
        if !matches!(made.credential_id.len(), 1..=1023) {
            return Err(CtapError::Malformed("a credential id of an impossible length"));
        }
        Ok(Credential { id: made.credential_id, aaguid: made.aaguid, public_key: made.public_key })
    }

    /// Asks silently (no touch, no PIN) whether the token holds a credential, and has it prove that.
    ///
    /// # Errors
    /// [`CtapError::Channel`], [`CtapError::Malformed`] and what else keeps a token from answering.
    pub fn has_credential(
        &mut self,
        rp_id: &str,
        credential_id: &[u8],
        public_key: &PublicKey,
        patience: &Patience,
    ) -> Result<Probe, CtapError> {
        if self.info.max_credential_id_length.is_some_and(|longest| credential_id.len() as u64 > longest) {
            return Ok(Probe::Absent);
        }
        // Drawn here and for each question: an answer that was overheard once proves nothing.
        let challenge = random::public().or(Err(CtapError::Random))?;
        let request = AssertionRequest {
            rp_id,
            client_data_hash: &challenge,
            credential_id,
            hmac_secret: None,
            up: false,
            auth: None,
        };
        match self.quick(&request.encode()?, patience) {
            Ok(reply) => {
                let reply = AssertionReply::decode(&reply)?;
                is_credential(&reply, credential_id)?;
                is_rp(&reply.auth_data, rp_id)?;
                let proved = reply.is_signed_by(public_key, &challenge);
                Ok(if proved { Probe::Found } else { Probe::Absent })
            }
            // Section 6.2.2; some tokens answer the second to ids that they did not make.
            Err(CtapError::Status(Status::NoCredentials | Status::InvalidCredential)) => Ok(Probe::Absent),
            // From a token that does nothing without its user. Section 6.2.2 wants an answer, of one with
            // `alwaysUv` too (step 5).
            Err(CtapError::Status(
                Status::PinRequired
                | Status::UpRequired
                | Status::UnsupportedOption
                | Status::InvalidOption
                | Status::OperationDenied
                | Status::NotAllowed
                | Status::UvBlocked,
            )) => Ok(Probe::Silent),
            Err(other) => Err(other),
        }
    }

    /// Asks a credential for its secrets. Needs a touch; with `auth`, they are those of a verified user.
    ///
    /// # Errors
    /// All of [`CtapError`]; [`Status::NoCredentials`] if the token does not hold the credential,
    /// [`CtapError::Signature`] if it only says so.
    pub fn hmac_secret(
        &mut self,
        request: &HmacRequest<'_>,
        auth: Option<&PinUvToken>,
        wait: &mut Wait<'_>,
    ) -> Result<HmacOutput, CtapError> {
        self.needs_hmac_secret()?;
        let protocol = self.info.protocol()?;
        let (key_agreement, secret) = self.shared_secret(protocol, wait.patience)?;
        let mut salts = Zeroizing::new(request.salt.to_vec());
        salts.extend(request.second_salt.iter().copied().flatten());
        let salt_enc = secret.encrypt(&salts)?;
        let input = HmacSecretInput {
            key_agreement,
            salt_auth: secret.authenticate(&salt_enc)?,
            salt_enc,
            protocol: protocol.number(),
        };
        let assertion = AssertionRequest {
            rp_id: request.rp_id,
            client_data_hash: request.client_data_hash,
            credential_id: request.credential_id,
            hmac_secret: Some(input),
            up: true,
            auth: auth.map(|token| token.authenticate(request.client_data_hash)).transpose()?,
        };
        let reply = AssertionReply::decode(&self.command(&assertion.encode()?, wait)?)?;
        is_credential(&reply, request.credential_id)?;
        check(&reply.auth_data, request.rp_id, auth)?;
        if !reply.is_signed_by(request.public_key, request.client_data_hash) {
            return Err(CtapError::Signature);
        }
        let Some(HmacSecret::Encrypted(outputs)) = reply.auth_data.hmac_secret else {
            return Err(CtapError::Malformed("an assertion without hmac-secret"));
        };
        let outputs = secret.decrypt(&outputs)?;
        let (first, second) = match (outputs.as_chunks::<32>(), request.second_salt) {
            (([first], []), None) => (first, None),
            (([first, second], []), Some(_)) => (first, Some(second)),
            _ => return Err(CtapError::Malformed("an hmac-secret of another length than asked for")),
        };
        Ok(HmacOutput {
            first: TokenSecret::copy_from(first),
            second: second.map(|second| TokenSecret::copy_from(second)),
            user_verified: reply.auth_data.user_verified,
        })
    }

    /// One command: the CBOR of its reply.
    fn command(&mut self, request: &[u8], wait: &mut Wait<'_>) -> Result<Vec<u8>, CtapError> {
        if request.len() > self.info.max_msg_size {
            return Err(CtapError::Unsupported("a request of this length"));
        }
        message::body(&self.link.cbor(request, wait)?).map(<[u8]>::to_vec)
    }

    /// One command that needs no user.
    pub(super) fn quick(&mut self, request: &[u8], patience: &Patience) -> Result<Vec<u8>, CtapError> {
        self.command(request, &mut Wait { patience, on_keepalive: &mut |_| {} })
    }

    fn needs_hmac_secret(&self) -> Result<(), CtapError> {
        let has = self.info.has_extension(HMAC_SECRET);
        if has { Ok(()) } else { Err(CtapError::Unsupported(HMAC_SECRET)) }
    }
}

/// What every answer after a touch must say.
fn check(auth_data: &AuthData, rp_id: &str, auth: Option<&PinUvToken>) -> Result<(), CtapError> {
    is_rp(auth_data, rp_id)?;
    if !auth_data.user_present {
        return Err(CtapError::Malformed("an answer without a touch"));
    }
    if auth_data.user_verified != auth.is_some() {
        return Err(CtapError::UvMismatch);
    }
    Ok(())
}

fn is_rp(auth_data: &AuthData, rp_id: &str) -> Result<(), CtapError> {
    let same = Sha256::digest(rp_id)[..] == auth_data.rp_id_hash;
    if same { Ok(()) } else { Err(CtapError::Malformed("an answer for another relying party")) }
}

fn is_credential(reply: &AssertionReply, asked: &[u8]) -> Result<(), CtapError> {
    let same = reply.credential_id.as_deref().is_none_or(|id| id == asked);
    if same { Ok(()) } else { Err(CtapError::Malformed("an answer of another credential")) }
}
