//! Secrets that come from a file or standard input.

use crate::cli::error::Error;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// What the daemon takes at most.
const LONGEST: u64 = 8 << 20;

/// The bytes of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if path.as_os_str() != "-" {
        return take(std::fs::File::open(path).map_err(failed)?, path);
    }
    let input = std::io::stdin();
    if rustix::termios::isatty(&input) {
        return Err(Error::Usage("standard input is the terminal: name a file, or pipe one in".to_owned()));
    }
    take(input, path)
}

fn take(source: impl std::io::Read, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Room from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let count = source
        .take(LONGEST.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if u64::try_from(count).is_ok_and(|count| count > LONGEST) {
        return Err(Error::Usage(format!("{} is longer than 8 MiB: name the right file", path.display())));
    }
    Ok(bytes)
}
