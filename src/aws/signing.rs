//! AWS Signature Version 4, split in two so that the long-term secret is needed for a moment only:
//! [`Signer::derive`] makes a key that is good for one day, region and service; [`Signer::sign`] uses it.
//!
//! The crate aws-sigv4 computes key and signature. Its `http_request::sign` would also build the canonical
//! request, but from the long-term secret alone, so that part is done here, for the one form that our
//! requests have: POST to `/`, no query, three signed headers. Tests hold it against that function and
//! against botocore.

use super::request::Form;
use super::{AccessKeyId, Endpoint, Error, Region, Request, Service, SignedRequest, time};
use crate::secret::{LongTermKey, SigningKey};
use aws_sigv4::sign::v4;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SIGNED_HEADERS: &str = "content-type;host;x-amz-date";

/// A derived key and what it is good for.
pub struct Signer {
    id: AccessKeyId,
    key: SigningKey,
    date: String,
    region: Region,
    service: Service,
}

impl Signer {
    /// Derives the key for requests to `service` in `region` on the day (UTC) of `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`Error::Time`] for a time beyond the calendar, [`Error::SecretKey`] for a secret that is not text.
    pub fn derive(
        id: AccessKeyId,
        secret: &LongTermKey,
        service: Service,
        region: &Region,
        now: u64,
    ) -> Result<Self, Error> {
        let date = time::date_stamp(now)?;
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now)).ok_or(Error::Time)?;
        let key = secret.with(|secret| {
            let secret = str::from_utf8(secret).map_err(|_not_text| Error::SecretKey)?;
            let key = v4::generate_signing_key(secret, at, region.as_str(), service.name());
            Ok(SigningKey::copy_from(key.as_ref()))
        })?;
        Ok(Self { id, key, date, region: region.clone(), service })
    }

    /// Signs `request` for `endpoint` at `now`, in Unix seconds. AWS takes it for about five minutes.
    ///
    /// # Errors
    /// [`Error::SignerExpired`] when `now` is on another day than the key's, [`Error::SignerRegion`] when
    /// the endpoint or the request wants another region or service, [`Error::Time`] as in [`Self::derive`].
    pub fn sign(&self, request: &Request, endpoint: &Endpoint, now: u64) -> Result<SignedRequest, Error> {
        if time::date_stamp(now)? != self.date {
            return Err(Error::SignerExpired);
        }
        if endpoint.signing_region() != &self.region || request.service() != self.service {
            return Err(Error::SignerRegion);
        }
        let amz_date = time::amz_date(now)?;
        let host = endpoint.authority();
        let body = request.form().into_text();
        // Canonical request: method, path, query, headers by name, their names, hash of the body.
        let canonical = format!(
            "POST\n/\n\ncontent-type:{}\nhost:{host}\nx-amz-date:{amz_date}\n\n{SIGNED_HEADERS}\n{}",
            Form::CONTENT_TYPE,
            sha256_hex(body.as_bytes()),
        );
        let signature = self.signature(&amz_date, &canonical);
        let authorization = Zeroizing::new(format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={SIGNED_HEADERS}, Signature={}",
            self.id,
            self.scope(),
            signature.as_str(),
        ));
        let headers = vec![
            ("content-type".to_owned(), Zeroizing::new(Form::CONTENT_TYPE.to_owned())),
            ("host".to_owned(), Zeroizing::new(host)),
            ("x-amz-date".to_owned(), Zeroizing::new(amz_date)),
            ("authorization".to_owned(), authorization),
        ];
        Ok(SignedRequest::new("POST", endpoint.url(), headers, body))
    }

    /// "Create a signed AWS API request", steps 2 to 4 (IAM user guide).
    fn signature(&self, amz_date: &str, canonical_request: &str) -> Zeroizing<String> {
        let hash = sha256_hex(canonical_request.as_bytes());
        let to_sign = format!("{ALGORITHM}\n{amz_date}\n{}\n{hash}", self.scope());
        Zeroizing::new(self.key.with(|key| v4::calculate_signature(key, to_sign.as_bytes())))
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service.name())
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _never_fails = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
