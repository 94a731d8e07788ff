//! What must hold for every input, however odd. The fuzz targets call these with inputs of their making,
//! `tests/corpus_text.rs` with the stored corpus. Each returns whether the input was taken.

/// A URI or a base32 seed.
pub(crate) fn otpauth(input: &[u8]) -> bool {
    let Ok(enrolment) = rootseal::otp::Enrolment::from_text(input) else { return false };
    let length = enrolment.seed.with(<[u8]>::len);
    assert!(length > 0 && length <= input.len(), "a seed is no longer than its text");
    assert_eq!(enrolment.weak, length < 16, "a short seed is flagged");
    for name in enrolment.issuer.iter().chain(&enrolment.account) {
        assert!(!name.is_empty() && !name.chars().any(char::is_control), "a name can be shown");
    }
    let code = rootseal::otp::code(&enrolment.seed, &enrolment.params, 1);
    code.with(|code| {
        assert_eq!(code.len(), usize::from(enrolment.params.digits()), "a code has its digits");
        assert!(code.iter().all(u8::is_ascii_digit), "a code is digits");
    });
    true
}

/// A key file.
pub(crate) fn rootkey_csv(input: &[u8]) -> bool {
    let Ok((id, secret)) = rootseal::aws::read_csv(input) else { return false };
    assert!(id.is_long_term(), "only long-term keys are imported");
    let contains = |part: &[u8]| input.windows(part.len()).any(|window| window == part);
    assert!(contains(id.as_str().as_bytes()), "the id stands in the file");
    assert!(secret.with(|secret| secret.len() == 40 && contains(secret)), "the secret stands in the file");
    true
}

/// A reply of STS, with both kinds of status.
pub(crate) fn sts_xml(input: &[u8]) -> bool {
    let Ok(account) = "111122223333".parse() else { return false };
    assert!(rootseal::aws::session(403, input, account).is_err(), "a refusal gives no session");
    let session = match rootseal::aws::session(200, input, account) {
        Ok(session) => session,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.chars().any(char::is_control), "an error can be shown");
            return false;
        }
    };
    session.credentials.with(|json| {
        assert!(json.starts_with(b"{\"Version\":1,\"AccessKeyId\":\""), "the JSON begins as it must");
        assert_eq!(json.split(|byte| *byte == b'"').count(), 23, "no value breaks out of the JSON");
    });
    true
}

/// A picture.
pub(crate) fn qr_png(input: &[u8]) -> bool {
    let Ok(text) = rootseal::otp::read_png(input) else { return false };
    text.with(|text| assert!(text.trim_ascii().to_ascii_lowercase().starts_with(b"otpauth://"), "a URI"));
    true
}
