//! The attestation key and its certificate, made once for each token. The certificate is also the only way to
//! give `fido-authenticator` an AAGUID. Nobody should trust it: it is signed by itself.

use littlefs2::{object_safe::DynFilesystem, path, path::Path};
use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
};
use rand_core::{OsRng, RngCore as _};

use crate::der::{
    BASIC_CONSTRAINTS, BIT_STRING, EC_PUBLIC_KEY, ECDSA_WITH_SHA256, EXTENSIONS, GENERALIZED_TIME, INTEGER,
    OCTET_STRING, OID, PRIME256V1, PRINTABLE_STRING, SEQUENCE, SET, UTC_TIME, UTF8_STRING, VERSION, der,
};

/// The AAGUID of this kind of token, made for it alone: 3e4397f3-8eea-4889-b1cd-777f61d20db1.
pub const AAGUID: [u8; 16] =
    [0x3e, 0x43, 0x97, 0xf3, 0x8e, 0xea, 0x48, 0x89, 0xb1, 0xcd, 0x77, 0x7f, 0x61, 0xd2, 0x0d, 0xb1];

/// Where the authenticator looks for key and certificate: the special ids 0 of the client `fido`.
const KEY_FILE: &Path = path!("fido/sec/00");
const CERTIFICATE_FILE: &Path = path!("fido/x5c/00");

/// Trussed's head of a stored key: flags SENSITIVE and LOCAL, kind P-256.
const KEY_HEAD: [u8; 4] = [0, 3, 0, 5];

/// Makes key and certificate unless they are there.
///
/// # Errors
/// When the file system refuses.
pub fn provision(fs: &dyn DynFilesystem) -> littlefs2::io::Result<()> {
    if fs.exists(KEY_FILE) && fs.exists(CERTIFICATE_FILE) {
        return Ok(());
    }
    let key = random_key();
    let certificate = certificate(&key);
    for (file, content) in
        [(CERTIFICATE_FILE, certificate), (KEY_FILE, [&KEY_HEAD[..], key.to_bytes().as_slice()].concat())]
    {
        if let Some(directory) = file.parent() {
            fs.create_dir_all(&directory)?;
        }
        fs.write(file, &content)?;
    }
    Ok(())
}

/// A fresh P-256 key.
pub(crate) fn random_key() -> SecretKey {
    loop {
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        // Refused once in 2^32 draws: zero, or not below the order of the curve.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return key;
        }
    }
}

/// `id-fido-gen-ce-aaguid`, 1.3.6.1.4.1.45724.1.1.4 (`WebAuthn`, section 8.2.1).
const FIDO_AAGUID: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0xE5, 0x1C, 0x01, 0x01, 0x04];

/// The certificate that `WebAuthn`, section 8.2.1, asks of a packed attestation.
fn certificate(key: &SecretKey) -> Vec<u8> {
    let attribute = |id: u8, kind: u8, value: &str| {
        let oid = der(OID, &[&[0x55, 0x04, id]]);
        der(SET, &[&der(SEQUENCE, &[&oid, &der(kind, &[value.as_bytes()])])])
    };
    let name = der(
        SEQUENCE,
        &[
            &attribute(6, PRINTABLE_STRING, "AA"),
            &attribute(10, UTF8_STRING, "rootseal"),
            &attribute(11, UTF8_STRING, "Authenticator Attestation"),
            &attribute(3, UTF8_STRING, "rootseal virtual token"),
        ],
    );
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    // Positive and without leading zeros, as DER wants.
    serial[0] = serial[0] & 0x7F | 0x40;
    let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_WITH_SHA256])]);
    let validity =
        der(SEQUENCE, &[&der(UTC_TIME, &[b"200101000000Z"]), &der(GENERALIZED_TIME, &[b"99991231235959Z"])]);
    let public = key.public_key().to_sec1_bytes();
    let public = der(
        SEQUENCE,
        &[
            &der(SEQUENCE, &[&der(OID, &[EC_PUBLIC_KEY]), &der(OID, &[PRIME256V1])]),
            &der(BIT_STRING, &[&[0], &public]),
        ],
    );
    let aaguid = der(OCTET_STRING, &[&der(OCTET_STRING, &[&AAGUID])]);
    let not_a_ca = der(OCTET_STRING, &[&der(SEQUENCE, &[])]);
    let extensions = der(
        SEQUENCE,
        &[
            &der(SEQUENCE, &[&der(OID, &[BASIC_CONSTRAINTS]), &not_a_ca]),
            &der(SEQUENCE, &[&der(OID, &[FIDO_AAGUID]), &aaguid]),
        ],
    );
    let body = der(
        SEQUENCE,
        &[
            &der(VERSION, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&serial]),
            &algorithm,
            &name,
            &validity,
            &name,
            &public,
            &der(EXTENSIONS, &[&extensions]),
        ],
    );
    let signature: DerSignature = SigningKey::from(key).sign(&body);
    der(SEQUENCE, &[&body, &algorithm, &der(BIT_STRING, &[&[0], signature.as_bytes()])])
}
