//! `otpauth://totp/LABEL?secret=…`, the de-facto format of the key URI that authenticator apps read
//! (Google Authenticator's "Key URI Format"). Parsed by hand: URL crates keep every part in plain strings.

use super::{Algorithm, Enrolment, MAX_TEXT, OtpError, TotpParams, base32};
use zeroize::Zeroizing;

const SCHEME: &[u8] = b"otpauth://";

/// Whether `text` begins as an `otpauth://` URI does.
pub(super) fn is_otpauth(text: &[u8]) -> bool {
    text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Parses a URI; unknown parameters (`image`, …) are passed over.
pub(super) fn parse(text: &[u8]) -> Result<Enrolment, OtpError> {
    if text.len() > MAX_TEXT {
        return Err(OtpError::TextTooLong);
    }
    let text = text.trim_ascii();
    let rest = text.get(SCHEME.len()..).filter(|_| is_otpauth(text)).ok_or(OtpError::NotOtpauth)?;
    let (rest, _fragment) = split(rest, b'#');
    let (path, query) = split(rest, b'?');
    let (kind, label) = split(path, b'/');
    if kind.eq_ignore_ascii_case(b"hotp") {
        return Err(OtpError::CounterBased);
    }
    if !kind.eq_ignore_ascii_case(b"totp") {
        return Err(OtpError::UnknownType);
    }
    let (label_issuer, account) = names(label.unwrap_or_default())?;

    let mut parameters = Parameters::default();
    for pair in query.unwrap_or_default().split(|byte| *byte == b'&') {
        let (key, value) = split(pair, b'=');
        parameters.take(key, value.unwrap_or_default())?;
    }
    let Parameters { secret, issuer, algorithm, digits, period } = parameters;
    let seed = base32::decode(&secret.ok_or(OtpError::MissingSecret)?)?;
    let default = TotpParams::default();
    let params = TotpParams::new(
        algorithm.unwrap_or(default.algorithm()),
        digits.unwrap_or(default.digits()),
        period.unwrap_or(default.period()),
    )?;
    let issuer = issuer.filter(|issuer| !issuer.is_empty()).or(label_issuer);
    Ok(Enrolment::new(seed, params, issuer, account))
}

#[derive(Default)]
struct Parameters {
    secret: Option<Zeroizing<Vec<u8>>>,
    issuer: Option<String>,
    algorithm: Option<Algorithm>,
    digits: Option<u8>,
    period: Option<u64>,
}

impl Parameters {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), OtpError> {
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("secret") {
            once(&mut self.secret, "secret", query_decoded(value)?)
        } else if is("issuer") {
            once(&mut self.issuer, "issuer", shown(&query_decoded(value)?)?)
        } else if is("algorithm") {
            let name = shown(&query_decoded(value)?)?;
            once(&mut self.algorithm, "algorithm", name.parse()?)
        } else if is("digits") {
            once(&mut self.digits, "digits", number(value).ok_or(OtpError::Digits)?)
        } else if is("period") {
            once(&mut self.period, "period", number(value).ok_or(OtpError::Period)?)
        } else {
            Ok(())
        }
    }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), OtpError> {
    slot.replace(value).map_or(Ok(()), |_| Err(OtpError::Duplicate(name)))
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let digits = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// The issuer and the account of a label: `ISSUER:ACCOUNT` or `ACCOUNT`.
fn names(label: &[u8]) -> Result<(Option<String>, Option<String>), OtpError> {
    let label = shown(&percent_decoded(label)?)?;
    let (issuer, account) = label.split_once(':').unwrap_or(("", &label));
    let named = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok((named(issuer), named(account)))
}

/// Text that may appear in a prompt: no control characters, and none that turn the writing direction and
/// so make a name read as another.
fn shown(bytes: &[u8]) -> Result<String, OtpError> {
    let Ok(text) = str::from_utf8(bytes) else { return Err(OtpError::BadEncoding) };
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(deceives) { Err(OtpError::ControlCharacters) } else { Ok(text.to_owned()) }
}

/// In a query, unlike in a path, `+` is a space (HTML form encoding, as Python's `urlencode` writes it).
fn query_decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    let spaced: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect());
    percent_decoded(&spaced)
}

fn percent_decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    // The capacity holds everything, so the vector never moves and leaves no copy behind.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16));
            let (high, low) = digit().zip(digit()).ok_or(OtpError::BadEncoding)?;
            let [.., byte] = ((high << 4) | low).to_be_bytes();
            byte
        } else {
            *byte
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn parsed(text: &str) -> Enrolment {
        parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> OtpError {
        parse(text.as_bytes()).err().unwrap_or_else(|| panic!("{text} was taken"))
    }

    #[test]
    fn what_aws_shows_is_read() {
        let secret = SECRET.repeat(2);
        let enrolment =
            parsed(&format!("otpauth://totp/root-account-mfa-device@111122223333?secret={secret}"));
        enrolment.seed.with(|seed| assert_eq!(seed, b"12345678901234567890".repeat(2)));
        assert_eq!(enrolment.account.as_deref(), Some("root-account-mfa-device@111122223333"));
        assert_eq!(enrolment.issuer, None);
        assert_eq!(enrolment.params, TotpParams::default());
        assert!(!enrolment.weak);
    }

    #[test]
    fn every_parameter_counts() {
        let enrolment = parsed(&format!(
            "OTPAUTH://TOTP/Amazon%20Web%20Services:%20alice@example?SECRET={}&issuer=AWS+prod\
             &algorithm=sha256&digits=8&period=60&image=https%3A%2F%2Fexample.com#x\n",
            "gezd%20gnbv-gy3t+qojq"
        ));
        enrolment.seed.with(|seed| assert_eq!(seed, b"1234567890"));
        assert_eq!(enrolment.issuer.as_deref(), Some("AWS prod"));
        assert_eq!(enrolment.account.as_deref(), Some("alice@example"));
        assert_eq!(enrolment.params, TotpParams::new(Algorithm::Sha256, 8, 60).unwrap());
        assert!(enrolment.weak);
    }

    #[test]
    fn an_issuer_may_stand_in_the_label_alone() {
        for colon in [":", "%3A", "%3a"] {
            let enrolment = parsed(&format!("otpauth://totp/AWS{colon}alice?secret={SECRET}"));
            assert_eq!(enrolment.issuer.as_deref(), Some("AWS"));
            assert_eq!(enrolment.account.as_deref(), Some("alice"));
        }
        assert_eq!(parsed(&format!("otpauth://totp/?secret={SECRET}%3D%3D")).account, None);
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        assert_eq!(refused("https://example.com/?secret=MZXW6YTB"), OtpError::NotOtpauth);
        assert_eq!(refused(""), OtpError::NotOtpauth);
        assert_eq!(refused("otpauth://hotp/a?secret=MZXW6YTB&counter=1"), OtpError::CounterBased);
        assert_eq!(refused("otpauth://push/a?secret=MZXW6YTB"), OtpError::UnknownType);
        assert_eq!(refused("otpauth://totp/a"), OtpError::MissingSecret);
        assert_eq!(refused("otpauth://totp/a?issuer=b"), OtpError::MissingSecret);
        assert_eq!(refused("otpauth://totp/a?secret="), OtpError::EmptySecret);
        assert_eq!(refused("otpauth://totp/a?secret=not!base32"), OtpError::NotBase32 { position: 4 });
        let of = |more: &str| refused(&format!("otpauth://totp/a?secret={SECRET}&{more}"));
        assert_eq!(of("secret=MZXW6YTB"), OtpError::Duplicate("secret"));
        assert_eq!(of("Secret=MZXW6YTB"), OtpError::Duplicate("secret"));
        assert_eq!(of("issuer=a&issuer=a"), OtpError::Duplicate("issuer"));
        assert_eq!(of("digits=7"), OtpError::Digits);
        assert_eq!(of("digits=six"), OtpError::Digits);
        assert_eq!(of("digits=%2B6"), OtpError::Digits);
        assert_eq!(of("period=0"), OtpError::Period);
        assert_eq!(of("period=99999999999999999999999"), OtpError::Period);
        assert_eq!(of("algorithm=MD5"), OtpError::Algorithm);
        assert_eq!(of("issuer=%zz"), OtpError::BadEncoding);
        assert_eq!(of("issuer=%f"), OtpError::BadEncoding);
        assert_eq!(of("issuer=%ff"), OtpError::BadEncoding);
        assert_eq!(of("issuer=a%0ab"), OtpError::ControlCharacters);
        assert_eq!(of("issuer=a%e2%80%aeb"), OtpError::ControlCharacters);
        assert_eq!(refused(&format!("otpauth://totp/a%1b[2J?secret={SECRET}")), OtpError::ControlCharacters);
        assert_eq!(of(&"x".repeat(4096)), OtpError::TextTooLong);
    }
}
