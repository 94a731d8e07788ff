//! The card's own files, in the flash that also has the keys: so they are saved at the same moment.

use littlefs2::{
    object_safe::DynFilesystem,
    path::{Path, PathBuf},
};
use serde::{Serialize, de::DeserializeOwned};

use super::apdu::Status;

/// Where an application keeps what it knows: one file of JSON.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    fs: &'a dyn DynFilesystem,
    file: &'static Path,
}

impl<'a> Shelf<'a> {
    /// Names the file; it need not be there.
    pub(super) fn new(fs: &'a dyn DynFilesystem, file: &'static Path) -> Self {
        Self { fs, file }
    }

    /// What was put there last; the default when nothing was.
    ///
    /// # Errors
    /// When the file does not hold such a thing.
    pub(super) fn load<T: DeserializeOwned + Default>(&self) -> Result<T, Status> {
        if !self.fs.exists(self.file) {
            return Ok(T::default());
        }
        let mut bytes = vec![0; self.fs.metadata(self.file).map_err(memory)?.len()];
        self.fs
            .open_file_and_then(self.file, &mut |file| {
                let mut done = 0;
                while let Some(room) = bytes.get_mut(done..).filter(|room| !room.is_empty()) {
                    match file.read(room)? {
                        0 => break,
                        count => done = done.saturating_add(count),
                    }
                }
                Ok(())
            })
            .map_err(memory)?;
        serde_json::from_slice(&bytes).map_err(|_nonsense| Status::MEMORY)
    }

    /// Puts it there.
    ///
    /// # Errors
    /// When there is no room left.
    pub(super) fn save(&self, value: &impl Serialize) -> Result<(), Status> {
        let bytes = serde_json::to_vec(value).map_err(|_unwritable| Status::MEMORY)?;
        if let Some(directory) = self.file.parent().filter(|directory| *directory != PathBuf::new()) {
            self.fs.create_dir_all(&directory).map_err(memory)?;
        }
        self.fs.write(self.file, &bytes).map_err(|_full| Status::FULL)
    }
}

fn memory(_error: littlefs2::io::Error) -> Status {
    Status::MEMORY
}
