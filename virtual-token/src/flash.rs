//! The token's flash: littlefs on memory, so that one image can be saved at one moment.

use std::{cell::RefCell, rc::Rc};

use littlefs2::{
    consts::{U8, U512},
    driver::Storage,
    io::{Error, Result},
};

const BLOCK: usize = 512;
const BLOCKS: usize = 512;

/// Bytes in the flash.
pub const FLASH_SIZE: usize = BLOCK * BLOCKS;

/// Memory that littlefs takes for flash; clones share it.
#[derive(Clone, Debug)]
pub struct Flash {
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl Flash {
    /// Erased flash.
    pub fn erased() -> Self {
        Self::from_image(vec![0xFF; FLASH_SIZE])
    }

    /// Flash with this content, which must be [`FLASH_SIZE`] bytes long.
    pub fn from_image(image: Vec<u8>) -> Self {
        debug_assert_eq!(image.len(), FLASH_SIZE);
        Self { bytes: Rc::new(RefCell::new(image)) }
    }

    /// A copy of the whole content.
    pub fn image(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    fn with<R>(&self, offset: usize, len: usize, act: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        let end = offset.checked_add(len).ok_or(Error::IO)?;
        self.bytes.borrow_mut().get_mut(offset..end).map(act).ok_or(Error::IO)
    }
}

impl Storage for Flash {
    const READ_SIZE: usize = 16;
    const WRITE_SIZE: usize = 16;
    const BLOCK_SIZE: usize = BLOCK;
    const BLOCK_COUNT: usize = BLOCKS;
    type CACHE_SIZE = U512;
    type LOOKAHEAD_SIZE = U8;

    fn read(&mut self, offset: usize, buffer: &mut [u8]) -> Result<usize> {
        self.with(offset, buffer.len(), |bytes| buffer.copy_from_slice(bytes))?;
        Ok(buffer.len())
    }

    fn write(&mut self, offset: usize, data: &[u8]) -> Result<usize> {
        self.with(offset, data.len(), |bytes| bytes.copy_from_slice(data))?;
        Ok(data.len())
    }

    fn erase(&mut self, offset: usize, len: usize) -> Result<usize> {
        self.with(offset, len, |bytes| bytes.fill(0xFF))?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use littlefs2::{fs::Filesystem, path};

    use super::*;

    #[test]
    fn files_outlive_the_mount_in_the_image() {
        let mut flash = Flash::erased();
        Filesystem::format(&mut flash).unwrap();
        Filesystem::mount_and_then(&mut flash, |fs| fs.write(path!("a"), b"kept")).unwrap();

        let mut again = Flash::from_image(flash.image());
        let read = Filesystem::mount_and_then(&mut again, |fs| fs.read::<8>(path!("a"))).unwrap();
        assert_eq!(read.as_slice(), b"kept");
    }

    #[test]
    fn nothing_reaches_past_the_end() {
        let mut flash = Flash::erased();
        assert_eq!(flash.write(FLASH_SIZE - 8, &[0; 16]), Err(Error::IO));
        assert_eq!(flash.erase(usize::MAX, 512), Err(Error::IO));
    }
}
