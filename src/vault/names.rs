//! The syntax of names and other texts. The reader holds a vault to it as the writer does.

use super::VaultError;

/// A name of an account or a profile: 1 … 64 characters, none a control character or `/`, no white
/// space at the ends, no `-` in front (it would read as an option on a command line).
pub(super) fn name(text: &str, field: &'static str) -> Result<(), VaultError> {
    let plain = text.chars().all(|char| !char.is_control() && char != '/');
    let length = (1..=64).contains(&text.chars().count());
    if plain && length && text.trim() == text && !text.starts_with('-') {
        Ok(())
    } else {
        Err(VaultError::Invalid(field))
    }
}

/// Whether this can be the name of an account or a profile.
pub fn is_name(text: &str) -> bool {
    name(text, "name").is_ok()
}

/// Any other text: 1 … `most` bytes, no control characters.
pub(super) fn text(text: &str, most: usize, field: &'static str) -> Result<(), VaultError> {
    if (1..=most).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(VaultError::Invalid(field))
    }
}

/// The same where there is one.
pub(super) fn optional(text: Option<&str>, most: usize, field: &'static str) -> Result<(), VaultError> {
    text.map_or(Ok(()), |some| self::text(some, most, field))
}

/// AWS's account id.
pub(super) fn account_id(text: &str) -> Result<(), VaultError> {
    if text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        Ok(())
    } else {
        Err(VaultError::Invalid("account id"))
    }
}

/// A partition of AWS.
pub(super) fn partition(text: &str) -> Result<(), VaultError> {
    if matches!(text, "aws" | "aws-cn" | "aws-us-gov") {
        Ok(())
    } else {
        Err(VaultError::Invalid("partition"))
    }
}

/// Most bytes of a holder, a label, a region, a user name.
pub(super) const SHORT: usize = 64;
/// Most bytes of a keyslot's kind.
pub(super) const KIND: usize = 32;
/// Most bytes of any other text.
pub(super) const LONG: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_rules() {
        for good in ["prod", "a", "prod root", "größe", &"ü".repeat(64), "a-b", "a.b"] {
            assert_eq!(name(good, "name"), Ok(()));
        }
        for bad in ["", " a", "a ", "-a", "a/b", "a\n", "a\u{0}b", "a\u{85}b", &"a".repeat(65)] {
            assert_eq!(name(bad, "name"), Err(VaultError::Invalid("name")));
        }
    }

    #[test]
    fn account_ids_are_twelve_digits() {
        assert_eq!(account_id("111122223333"), Ok(()));
        for bad in ["", "11112222333", "1111222233334", "11112222333a", "١١١١٢٢"] {
            assert!(account_id(bad).is_err());
        }
    }
}
