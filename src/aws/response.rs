//! What AWS answered. The client brings it, so it is testimony: bounded, parsed strictly, never repeated
//! raw.

use super::xml::Element;
use super::{AccessKeyId, AccountId, AwsError, Error, KeyPair, credential_process, time};
use crate::secret::SessionCredentials;

/// The largest reply that is looked at, in bytes.
pub const MAX_REPLY: usize = 256 * 1024;

/// A session that STS granted.
pub struct Session {
    /// The public half of its key.
    pub access_key_id: AccessKeyId,
    /// When it ends, in Unix seconds.
    pub expiration: u64,
    /// All of it, as the JSON of `credential_process`.
    pub credentials: SessionCredentials,
}

/// Reads the reply to [`super::GetSessionToken`]; `account` goes into the JSON.
///
/// # Errors
/// [`Error::Refused`] with AWS's reason, [`Error::Status`] where it gave none, [`Error`] for what is no
/// reply of STS.
pub fn session(status: u16, reply: &[u8], account: AccountId) -> Result<Session, Error> {
    let root = result(status, reply)?;
    let credentials = match root.name() {
        "GetSessionTokenResponse" => root.child("GetSessionTokenResult")?.child("Credentials")?,
        _ => return Err(Error::ReplyForm("it answers another request")),
    };
    let access_key_id: AccessKeyId = credentials.child("AccessKeyId")?.text().parse()?;
    let expiration = time::parse_rfc3339(credentials.child("Expiration")?.text())
        .ok_or(Error::ReplyForm("its expiration is no time"))?;
    let key = KeyPair {
        id: &access_key_id,
        secret: credentials.child("SecretAccessKey")?.text().as_bytes(),
        session_token: Some(credentials.child("SessionToken")?.text().as_bytes()),
    };
    let credentials = credential_process(&key, Some(expiration), Some(account))?;
    Ok(Session { access_key_id, expiration, credentials })
}

/// The root of a successful reply; an error reply becomes the error that it states.
fn result(status: u16, reply: &[u8]) -> Result<Element, Error> {
    if reply.len() > MAX_REPLY {
        return Err(Error::ReplyTooLarge);
    }
    let root = match str::from_utf8(reply) {
        Ok(text) => Element::parse(text),
        Err(_) => Err(Error::ReplyForm("it is not UTF-8")),
    };
    match root {
        Ok(root) if root.name() == "ErrorResponse" => Err(stated(&root).unwrap_or(Error::Status(status))),
        Ok(root) if status == 200 => Ok(root),
        Err(error) if status == 200 => Err(error),
        Ok(_) | Err(_) => Err(Error::Status(status)),
    }
}

/// `<ErrorResponse><Error><Code>…</Code><Message>…</Message></Error></ErrorResponse>`.
fn stated(root: &Element) -> Option<Error> {
    let error = root.child("Error").ok()?;
    let text = |name| error.child(name).map(Element::text).unwrap_or_default();
    let (code, message) = (text("Code"), text("Message"));
    (!code.is_empty()).then(|| Error::Refused(AwsError::new(code, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "<Credentials>\
        <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>\
        <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>\
        <SessionToken>AQoEXAMPLEH4aoAH0gNCAPy/token==</SessionToken>\
        <Expiration>2026-11-24T02:22:03Z</Expiration></Credentials>";

    fn wrapped(namespace: &str, inner: &str) -> String {
        format!(
            "<GetSessionTokenResponse{namespace}>\n  <GetSessionTokenResult>{inner}</GetSessionTokenResult>\n\
             <ResponseMetadata><RequestId>58c5dbae-abef-11e0-8cfe-09039844ac7d</RequestId></ResponseMetadata>\n\
             </GetSessionTokenResponse>"
        )
    }

    fn read(status: u16, reply: impl AsRef<[u8]>) -> Result<Session, Error> {
        session(status, reply.as_ref(), "111122223333".parse().unwrap())
    }

    #[test]
    fn a_session_is_read_with_and_without_namespace() {
        for namespace in ["", " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""] {
            let session = read(200, wrapped(namespace, CREDENTIALS)).unwrap();
            assert_eq!(session.access_key_id.as_str(), "ASIAIOSFODNN7EXAMPLE");
            assert_eq!(session.expiration, 1_795_486_923);
            session.credentials.with(|json| {
                let json: serde_json::Value = serde_json::from_slice(json).unwrap();
                assert_eq!(
                    json,
                    serde_json::json!({
                        "Version": 1,
                        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
                        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
                        "SessionToken": "AQoEXAMPLEH4aoAH0gNCAPy/token==",
                        "Expiration": "2026-11-24T02:22:03Z",
                        "AccountId": "111122223333",
                    })
                );
            });
        }
    }

    #[test]
    fn what_moto_sends_is_read() {
        let reply = include_str!("../../tests/vectors/aws/moto_get_session_token.xml");
        let session = read(200, reply).unwrap();
        assert_eq!(session.access_key_id.as_str(), "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(session.expiration, 1_795_488_239);
    }

    #[test]
    fn the_reason_of_aws_is_passed_on() {
        let reply = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    \
            <Type>Sender</Type>\n    <Code>SignatureDoesNotMatch</Code>\n    <Message>Signature expired: \
            20261124T012203Z is now earlier than 20261124T013000Z (20261124T013500Z - 5 min.)</Message>\n  \
            </Error>\n  <RequestId>x</RequestId>\n</ErrorResponse>";
        for status in [403, 200] {
            let Err(Error::Refused(error)) = read(status, reply) else { panic!("taken") };
            assert_eq!(error.code(), "SignatureDoesNotMatch");
            assert!(error.message().starts_with("Signature expired: 20261124T012203Z is now earlier"));
            assert!(
                Error::Refused(error).to_string().starts_with("AWS refused (SignatureDoesNotMatch): Sig")
            );
        }
        assert_eq!(read(503, "<html><body>busy</body></html>").err(), Some(Error::Status(503)));
        assert_eq!(read(502, "Bad gateway").err(), Some(Error::Status(502)));
        assert_eq!(read(403, "<ErrorResponse/>").err(), Some(Error::Status(403)));
        assert_eq!(read(500, wrapped("", CREDENTIALS)).err(), Some(Error::Status(500)));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        assert_eq!(read(200, vec![b' '; MAX_REPLY + 1]).err(), Some(Error::ReplyTooLarge));
        assert_eq!(read(200, b"\xff\xfe").err(), Some(Error::ReplyForm("it is not UTF-8")));
        assert_eq!(read(200, wrapped("", "")).err(), Some(Error::ReplyLacks("Credentials")));
        assert!(read(200, "<AssumeRoleResponse/>").is_err());
        let twice = wrapped("", &CREDENTIALS.repeat(2));
        assert!(read(200, twice).is_err());
        for name in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
            let without = wrapped("", CREDENTIALS).replace(&format!("<{name}>"), "<Other>");
            let without = without.replace(&format!("</{name}>"), "</Other>");
            assert_eq!(read(200, without).err(), Some(Error::ReplyLacks(name)));
        }
        for (from, to) in [
            ("ASIAIOSFODNN7EXAMPLE", "&quot;,&quot;x"),
            ("wJalrXUtnFEMI/", "&quot;"),
            ("AQoEXAMPLEH4aoAH0gNCAPy/token==", ""),
            ("2026-11-24", "tomorrow"),
        ] {
            assert!(read(200, wrapped("", CREDENTIALS).replace(from, to)).is_err(), "{from}");
        }
    }
}
