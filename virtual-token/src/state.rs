//! The state file: the token's flash as one image, with a header and a digest. Every save is atomic.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::flash::FLASH_SIZE;

const MAGIC: &[u8; 16] = b"rootseal-vtoken1";
const DIGEST_LEN: usize = 32;

/// Why a state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot {verb} the state file {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file is not one of ours, is cut short, or was changed.
    #[error("the state file {} is damaged ({part}); move it away to start with a fresh token", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part that is wrong.
        part: &'static str,
    },
}

/// The place where one token's flash image is kept.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Names the file; nothing is read or written yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The image that was saved last, or `None` when there is no file yet.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when the file is not exactly what [`Self::save`] wrote.
    pub fn load(&self) -> Result<Option<Vec<u8>>, StateError> {
        let mut bytes = Vec::new();
        match File::open(&self.path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("read", error)),
        }
        let body = bytes.strip_prefix(MAGIC).ok_or_else(|| self.damaged("not a state file"))?;
        let (image, digest) = body.split_at_checked(FLASH_SIZE).ok_or_else(|| self.damaged("cut short"))?;
        if digest.len() != DIGEST_LEN {
            return Err(self.damaged("wrong length"));
        }
        if digest != Sha256::digest(image).as_slice() {
            return Err(self.damaged("digest does not match"));
        }
        Ok(Some(image.to_vec()))
    }

    /// Replaces the file: a crash leaves either the old or the new image, and never a part of one.
    ///
    /// # Errors
    /// [`StateError::Io`]; the old file is then still in place.
    pub fn save(&self, image: &[u8]) -> Result<(), StateError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(image)?;
            file.write_all(&Sha256::digest(image))?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)?;
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
        };
        write().map_err(|error| self.io("write", error))
    }

    fn io(&self, verb: &'static str, source: io::Error) -> StateError {
        StateError::Io { verb, path: self.path.clone(), source }
    }

    fn damaged(&self, part: &'static str) -> StateError {
        StateError::Damaged { path: self.path.clone(), part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> (tempfile::TempDir, StateFile, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("token.state"));
        let image: Vec<u8> = (0..=u8::MAX).cycle().take(FLASH_SIZE).collect();
        file.save(&image).unwrap();
        (directory, file, image)
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (directory, file, image) = saved();
        assert_eq!(file.load().unwrap(), Some(image));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn no_file_is_a_fresh_token() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(StateFile::new(directory.path().join("none")).load().unwrap(), None);
    }

    #[test]
    fn every_kind_of_damage_is_refused() {
        let (_directory, file, _) = saved();
        let good = std::fs::read(&file.path).unwrap();
        let mut flipped = good.clone();
        flipped[1000] ^= 1;
        let mut foreign = good.clone();
        foreign[0] ^= 1;
        let mut longer = good.clone();
        longer.push(0);
        for bad in
            [flipped, foreign, longer, good[..good.len() - 1].to_vec(), good[..100].to_vec(), Vec::new()]
        {
            std::fs::write(&file.path, bad).unwrap();
            let error = file.load().unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert!(!error.to_string().contains('\n'));
        }
    }
}
