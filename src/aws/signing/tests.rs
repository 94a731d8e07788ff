use super::*;
use crate::aws::{GetSessionToken, MfaSerial, Partition, Principal, SessionDuration};
use crate::secret::OtpCode;
use aws_credential_types::Credentials;
use aws_sigv4::http_request;
use serde_json::Value;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn signer(region: &Region, now: u64) -> Signer {
    let secret = LongTermKey::copy_from(SECRET.as_bytes());
    Signer::derive(ID.parse().unwrap(), &secret, Service::Sts, region, now).unwrap()
}

fn endpoint(url: &str, region: &str, partition: Partition) -> Endpoint {
    let region = Region::parse(region, partition).unwrap();
    Endpoint::choose(partition, Some(&region), Some(url), &["http://127.0.0.1:5555".to_owned()]).unwrap()
}

fn request(partition: Partition, serial: &str, duration: u32, code: &str) -> Request {
    let duration = SessionDuration::new(duration, Principal::User).unwrap();
    let serial = MfaSerial::parse(serial, partition, "111122223333".parse().unwrap()).unwrap();
    let code = OtpCode::copy_from(code.as_bytes());
    Request::GetSessionToken(GetSessionToken::new(duration, serial, code).unwrap())
}

fn default_request() -> Request {
    request(Partition::Aws, "arn:aws:iam::111122223333:mfa/root-account-mfa-device", 3600, "123456")
}

fn header<'a>(signed: &'a SignedRequest, name: &str) -> &'a str {
    let mut values = signed.headers().filter(|header| header.0 == name);
    let (_, value) = values.next().unwrap();
    assert!(values.next().is_none());
    value
}

/// The example of "Signature Version 4 signing process" (AWS General Reference), a GET, in its steps.
#[test]
fn the_documented_example() {
    let canonical = "GET\n/\nAction=ListUsers&Version=2010-05-08\n\
        content-type:application/x-www-form-urlencoded; charset=utf-8\nhost:iam.amazonaws.com\n\
        x-amz-date:20150830T123600Z\n\ncontent-type;host;x-amz-date\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        sha256_hex(canonical.as_bytes()),
        "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    );
    let key = v4::generate_signing_key(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        SystemTime::UNIX_EPOCH + Duration::from_mins(24_015_636),
        "us-east-1",
        "iam",
    );
    assert_eq!(hex(key.as_ref()), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n{}",
        sha256_hex(canonical.as_bytes())
    );
    assert_eq!(
        v4::calculate_signature(key, to_sign.as_bytes()),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn botocore_signs_the_same() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/aws/get_session_token.json")).unwrap();
    assert_eq!(
        (vectors["access_key_id"].as_str(), vectors["secret_access_key"].as_str()),
        (Some(ID), Some(SECRET))
    );
    let requests = vectors["requests"].as_array().unwrap();
    assert!(requests.len() >= 5);
    for vector in requests {
        let text = |name: &str| vector[name].as_str().unwrap();
        let now = vector["now"].as_u64().unwrap();
        let partition = match text("name") {
            "china" => Partition::AwsCn,
            "hardware token" => Partition::AwsUsGov,
            _ => Partition::Aws,
        };
        let endpoint = endpoint(text("endpoint"), text("region"), partition);
        let duration = vector["duration"].as_u64().unwrap();
        let request = request(partition, text("serial"), duration.try_into().unwrap(), text("code"));
        let signed = signer(endpoint.signing_region(), now).sign(&request, &endpoint, now).unwrap();
        assert_eq!((signed.method(), signed.url()), ("POST", text("endpoint")));
        assert_eq!(signed.body(), text("body"));
        assert_eq!(header(&signed, "x-amz-date"), text("x_amz_date"));
        assert_eq!(header(&signed, "authorization"), text("authorization"));
    }
}

#[test]
fn the_high_level_signer_signs_the_same() {
    let now = 1_795_486_923;
    for (url, region) in [
        ("https://sts.amazonaws.com/", "us-east-1"),
        ("https://sts.eu-central-1.amazonaws.com/", "eu-central-1"),
        ("http://127.0.0.1:5555/", "us-east-1"),
    ] {
        let endpoint = endpoint(url, region, Partition::Aws);
        let ours = signer(endpoint.signing_region(), now).sign(&default_request(), &endpoint, now).unwrap();

        let identity = Credentials::new(ID, SECRET, None, None, "test").into();
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("sts")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(now))
            .settings(http_request::SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let unsigned = ours.headers().filter(|(name, _)| ["content-type", "host"].contains(name));
        let body = http_request::SignableBody::Bytes(ours.body().as_bytes());
        let request = http_request::SignableRequest::new("POST", url, unsigned, body).unwrap();
        let (instructions, _signature) = http_request::sign(request, &params).unwrap().into_parts();
        let theirs: Vec<_> = instructions.headers().collect();
        assert!(theirs.contains(&("authorization", header(&ours, "authorization"))), "{theirs:?}");
        assert!(theirs.contains(&("x-amz-date", header(&ours, "x-amz-date"))));
    }
}

#[test]
fn a_signer_serves_its_day_and_region_only() {
    let here = endpoint("https://sts.amazonaws.com/", "us-east-1", Partition::Aws);
    let there = endpoint("https://sts.eu-central-1.amazonaws.com/", "eu-central-1", Partition::Aws);
    let midnight = 1_795_564_800;
    let signer = signer(here.signing_region(), midnight - 1);
    assert!(signer.sign(&default_request(), &here, midnight - 1).is_ok());
    assert_eq!(signer.sign(&default_request(), &here, midnight).err(), Some(Error::SignerExpired));
    assert_eq!(signer.sign(&default_request(), &there, midnight - 1).err(), Some(Error::SignerRegion));
}
