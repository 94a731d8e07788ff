//! Room on the disk that is held in reserve: given up bit by bit when the disk is full, so that what has to be
//! written then can be.

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr as retry};
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = "reserve";
const SIZE: u64 = 1 << 20;
/// Enough for the machine's memory and some records.
const STEP: u64 = 64 << 10;

/// The reserve of a data directory.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    whole: bool,
    /// There was no room for all of it when it was last tried.
    short: bool,
}

impl Reserve {
    /// The reserve in a directory; made where there is room.
    pub fn open(directory: &Path) -> Self {
        let mut reserve = Self { path: directory.join(NAME), whole: false, short: false };
        reserve.refill();
        reserve
    }

    /// Whether all of it is there.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the disk has no room for it: then nothing is to be written that can be done without.
    pub const fn is_short(&self) -> bool {
        self.short
    }

    /// Makes it whole again where there is room.
    pub fn refill(&mut self) {
        if self.whole {
            return;
        }
        let filled = self.fill();
        self.whole = filled.is_ok();
        self.short = filled.is_err_and(|error| is_full(&error));
    }

    /// Gives some of it up. Whether there was any left.
    pub fn give(&mut self) -> bool {
        self.whole = false;
        let given = self.file().and_then(|file| {
            let left = file.metadata()?.len();
            file.set_len(left.saturating_sub(STEP))?;
            file.sync_all()?;
            Ok(left > 0)
        });
        given.unwrap_or(false)
    }

    fn file(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(retry(|| rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR))?.into())
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = self.file()?;
        let there = file.metadata()?;
        if there.len() >= SIZE && there.blocks().saturating_mul(512) >= SIZE {
            return Ok(());
        }
        match retry(|| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE)) {
            Ok(()) => {}
            // This file system holds room only by what is written.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&vec![0; usize::try_from(SIZE).unwrap_or_default()])?;
            }
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }
}

/// Whether it failed because there is no room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_given_up() {
        let directory = std::env::temp_dir().join(format!("rootseal-reserve-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut reserve = Reserve::open(&directory);
        assert!(reserve.is_whole() && !reserve.is_short());
        let blocks = || std::fs::metadata(directory.join(NAME)).unwrap().blocks() * 512;
        assert!(blocks() >= SIZE);
        let mut steps = 0;
        while reserve.give() {
            steps += 1;
            assert!(blocks() <= SIZE - steps * STEP && !reserve.is_whole());
        }
        assert_eq!(steps, SIZE / STEP);
        reserve.refill();
        assert!(reserve.is_whole() && blocks() >= SIZE);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
