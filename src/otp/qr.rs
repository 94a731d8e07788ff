//! The `otpauth://` URI in a picture of a QR code.
//!
//! PNG alone: it is what screenshots and AWS's own `QRCodePNG` are, and every further format is one more
//! parser between a stranger's file and the daemon.

use super::{MAX_PNG, MAX_TEXT, OtpError, uri};
use crate::secret::Base32Seed;
use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use std::io::Cursor;
use zeroize::Zeroizing;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const MAX_SIDE: u32 = 4096;
/// What decoding may take: the largest picture with four bytes for a pixel, and the decoder's own buffers.
const MAX_MEMORY: usize = 80 * 1024 * 1024;
/// A white border, in pixels: codes cut out tightly lack the quiet zone that finding them needs.
const QUIET: usize = 16;
/// Pictures with sides below this are enlarged: a module of a single pixel is too small to be found.
const SMALL: usize = 256;
const ENLARGE: usize = 4;
/// Pictures are reduced until no side is above this: the search copies the picture for each group of
/// patterns that might be a code. It makes the worst case rarer and does not bound it.
const LARGE: usize = 1600;

/// Finds the one QR code in a PNG file and returns its text, an `otpauth://` URI, for
/// [`super::Enrolment::from_uri`].
///
/// # Errors
/// [`OtpError`], when the file is no PNG, too large or damaged, and when it holds no readable QR code,
/// several, or one with something else in it.
///
/// A picture made to be hard, or plain noise of 4096 by 4096 pixels, can take a minute of computing: call
/// it where nobody else waits, and where it can be stopped.
pub fn read_png(file: &[u8]) -> Result<Base32Seed, OtpError> {
    let picture = Picture::decode(file)?;
    let found = match find(&picture, false) {
        // Light codes on a dark ground are what a dark theme makes of them.
        Err(first @ (OtpError::NoQrCode | OtpError::UnreadableQrCode)) => match find(&picture, true) {
            Err(OtpError::NoQrCode | OtpError::UnreadableQrCode) => Err(first),
            found => found,
        },
        found => found,
    }?;
    if !uri::is_otpauth(found.trim_ascii()) {
        return Err(OtpError::QrWithoutOtpauth);
    }
    if found.len() > MAX_TEXT {
        return Err(OtpError::TextTooLong);
    }
    Ok(Base32Seed::copy_from(&found))
}

fn find(picture: &Picture, inverted: bool) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    let longest = picture.width.max(picture.height);
    let (enlarge, reduce) = (if longest < SMALL { ENLARGE } else { 1 }, longest.div_ceil(LARGE).max(1));
    let side = |length: usize| {
        let length = length.checked_div(reduce).unwrap_or(length);
        length.saturating_mul(enlarge).saturating_add(QUIET.saturating_mul(2))
    };
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(side(picture.width), side(picture.height), |x, y| {
            let inside = |at: usize| at.checked_sub(QUIET).and_then(|at| at.checked_div(enlarge));
            let grey = inside(x).zip(inside(y)).and_then(|(x, y)| picture.mean(x, y, reduce));
            grey.map_or(u8::MAX, |grey| if inverted { !grey } else { grey })
        });
    let grids = prepared.detect_grids();
    if grids.is_empty() {
        return Err(OtpError::NoQrCode);
    }
    let mut texts = grids.iter().filter_map(|grid| {
        let mut text = Zeroizing::new(Vec::with_capacity(rqrr::MAX_PAYLOAD_SIZE));
        grid.decode_to(&mut *text).is_ok().then_some(text)
    });
    let text = texts.next().ok_or(OtpError::UnreadableQrCode)?;
    if texts.next().is_some() { Err(OtpError::SeveralQrCodes) } else { Ok(text) }
}

struct Picture {
    width: usize,
    height: usize,
    /// Rows of pixels, each with the bytes of [`Self::channels`].
    pixels: Zeroizing<Vec<u8>>,
    channels: usize,
}

impl Picture {
    fn decode(file: &[u8]) -> Result<Self, OtpError> {
        if file.len() > MAX_PNG {
            return Err(OtpError::PictureTooLarge);
        }
        if !file.starts_with(SIGNATURE) {
            return Err(OtpError::NotPng);
        }
        let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MAX_MEMORY });
        decoder.set_transformations(Transformations::normalize_to_color8());
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let header = decoder.read_header_info().map_err(|error| damaged(&error))?;
        // Before anything is decompressed or allocated for it.
        if header.width > MAX_SIDE || header.height > MAX_SIDE {
            return Err(OtpError::PictureTooLarge);
        }
        let mut reader = decoder.read_info().map_err(|error| damaged(&error))?;
        let size = reader.output_buffer_size().ok_or(OtpError::PictureTooLarge)?;
        let mut pixels = Zeroizing::new(vec![0; size]);
        let frame = reader.next_frame(&mut pixels).map_err(|error| damaged(&error))?;
        let channels = match frame.color_type {
            ColorType::Grayscale => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
            ColorType::Indexed => return Err(OtpError::DamagedPng),
        };
        let (Ok(width), Ok(height)) = (usize::try_from(frame.width), usize::try_from(frame.height)) else {
            return Err(OtpError::PictureTooLarge);
        };
        Ok(Self { width, height, pixels, channels })
    }

    /// The mean brightness of the square of `side` pixels that is the (x, y)th of its kind.
    fn mean(&self, x: usize, y: usize, side: usize) -> Option<u8> {
        let (left, top) = (x.checked_mul(side)?, y.checked_mul(side)?);
        let mut sum = 0_usize;
        for y in top..top.checked_add(side)? {
            for x in left..left.checked_add(side)? {
                sum = sum.checked_add(usize::from(self.grey(x, y)?))?;
            }
        }
        u8::try_from(sum.checked_div(side.checked_mul(side)?)?).ok()
    }

    /// The brightness of a pixel on white paper.
    fn grey(&self, x: usize, y: usize) -> Option<u8> {
        if x >= self.width {
            return None;
        }
        let start = y.checked_mul(self.width)?.checked_add(x)?.checked_mul(self.channels)?;
        let pixel = self.pixels.get(start..start.checked_add(self.channels)?)?;
        Some(match *pixel {
            [grey] => grey,
            [grey, alpha] => on_white(grey, alpha),
            [red, green, blue] => luma(red, green, blue),
            [red, green, blue, alpha] => on_white(luma(red, green, blue), alpha),
            _ => return None,
        })
    }
}

fn damaged(error: &DecodingError) -> OtpError {
    match error {
        DecodingError::LimitsExceeded => OtpError::PictureTooLarge,
        DecodingError::IoError(_) | DecodingError::Format(_) | DecodingError::Parameter(_) => {
            OtpError::DamagedPng
        }
    }
}

/// Rec. 601 weights, in 256ths.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let weigh = |value: u8, weight: u32| u32::from(value).saturating_mul(weight);
    let sum = weigh(red, 77).saturating_add(weigh(green, 150)).saturating_add(weigh(blue, 29));
    u8::try_from(sum >> 8).unwrap_or(u8::MAX)
}

fn on_white(grey: u8, alpha: u8) -> u8 {
    let ink = u16::from(!grey).saturating_mul(u16::from(alpha)) / 255;
    u8::MAX.saturating_sub(u8::try_from(ink).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests;
