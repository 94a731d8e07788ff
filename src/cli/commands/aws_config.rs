//! `aws-config`: the lines that make an AWS SDK call us.

use super::Session;
use crate::cli::error::Error;
use crate::cli::output;

pub(super) async fn run(session: &mut Session, name: &str, region: Option<String>) -> Result<(), Error> {
    session.may_ask().await?;
    let profiles = session.daemon.manager().await?.profiles().await?;
    let Some(profile) = profiles.into_iter().find(|profile| profile.name == name) else {
        return Err(Error::Missing(format!(
            "there is no profile named {name}: `rootseal profile list` shows them"
        )));
    };
    let region = Some(profile.region)
        .filter(|region| !region.is_empty())
        .or(region)
        .or_else(|| std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty()))
        .unwrap_or_else(|| "us-east-1".to_owned());
    let program = std::env::current_exe()
        .map_err(|source| Error::System { doing: "to name this program's own path", source })?;
    let Some(program) = program.to_str() else {
        return Err(Error::Usage(
            "rootseal lies under a path that is not text: install it elsewhere".to_owned(),
        ));
    };
    let address = (!session.choice.is_default()).then(|| session.choice.address.to_string());
    output::lines(section(name, &region, program, address.as_deref())?)
}

fn section(name: &str, region: &str, program: &str, address: Option<&str>) -> Result<Vec<String>, Error> {
    let breaks = |value: &str| value.chars().any(char::is_control);
    // A section's name ends at its bracket, and some readers start a comment at the two others.
    if name.contains([']', '#', ';']) || [name, region, program].into_iter().chain(address).any(breaks) {
        return Err(Error::Usage(
            "this profile cannot be written into an AWS configuration file: rename it".to_owned(),
        ));
    }
    let mut command = quoted(program);
    if let Some(address) = address {
        command = format!("{command} --address {}", word(address));
    }
    let title = if is_plain(name) { name.to_owned() } else { quoted(name) };
    Ok(vec![
        format!("[profile {title}]"),
        format!("region = {region}"),
        format!("credential_process = {command} credentials {}", word(name)),
    ])
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

fn word(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// One word for both readers there are: Python's `shlex` (botocore), and `sh -c` (most other SDKs). They agree on
/// double quotes as long as nothing in them is special to either, and on single quotes always.
fn quoted(text: &str) -> String {
    if text.contains(['"', '\\', '$', '`']) {
        return format!("'{}'", text.replace('\'', r#"'"'"'"#));
    }
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_what_the_tools_read() {
        let lines =
            section("prod-root", "eu-west-1", "/opt/my tools/rootseal", Some("unix:path=/run/x")).unwrap();
        assert_eq!(
            lines,
            [
                "[profile prod-root]",
                "region = eu-west-1",
                "credential_process = \"/opt/my tools/rootseal\" --address unix:path=/run/x credentials prod-root",
            ]
        );
        let lines = section("my root", "us-east-1", "/bin/rootseal", None).unwrap();
        assert_eq!(lines[0], "[profile \"my root\"]");
        assert_eq!(lines[2], "credential_process = \"/bin/rootseal\" credentials \"my root\"");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["/a b/c", "it's", "a\"b", "$HOME`id`\\", "'\"'", "ü ñ", "", "*"] {
            let script = format!("printf %s {}", word(text));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        assert!(section("a]\n[default", "r", "/p", None).is_err());
        assert!(section("a#b", "r", "/p", None).is_err());
        assert!(section("a", "r\nx = y", "/p", None).is_err());
    }
}
