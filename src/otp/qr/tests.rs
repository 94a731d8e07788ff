#![expect(clippy::arithmetic_side_effects, reason = "pictures of sizes that the tests choose")]

use super::*;
use png::{BitDepth, Encoder};
use qrcode::{Color, QrCode};

const URI: &str =
    "otpauth://totp/root-account-mfa-device@111122223333?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A bitmap of modules: `true` is ink.
struct Bitmap {
    width: usize,
    ink: Vec<bool>,
}

fn code(text: &str, scale: usize, quiet: usize) -> Bitmap {
    let code = QrCode::new(text).unwrap();
    let (modules, colours) = (code.width(), code.to_colors());
    let width = (modules + 2 * quiet) * scale;
    let ink = |at: usize| {
        let (x, y) = (at % width / scale, at / width / scale);
        let inside = |at: usize| (quiet..quiet + modules).contains(&at);
        inside(x) && inside(y) && colours[(y - quiet) * modules + x - quiet] == Color::Dark
    };
    Bitmap { width, ink: (0..width * width).map(ink).collect() }
}

fn side_by_side(left: &Bitmap, right: &Bitmap) -> Bitmap {
    let rows = left.ink.chunks(left.width).zip(right.ink.chunks(right.width));
    Bitmap { width: left.width + right.width, ink: rows.flat_map(|(a, b)| [a, b].concat()).collect() }
}

/// Writes samples of `bits` bits each, a row at a time.
fn png(bitmap: &Bitmap, colour: ColorType, depth: BitDepth, pixel: impl Fn(bool) -> Vec<u16>) -> Vec<u8> {
    let mut file = Vec::new();
    let height = bitmap.ink.len() / bitmap.width;
    let mut encoder =
        Encoder::new(&mut file, u32::try_from(bitmap.width).unwrap(), u32::try_from(height).unwrap());
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == ColorType::Indexed {
        // 0 is fully transparent, though black beneath; 1 is a dark blue.
        encoder.set_palette(vec![0, 0, 0, 0, 0, 60]);
        encoder.set_trns(vec![0, 255]);
    }
    let bits = match depth {
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
        BitDepth::Eight => 8,
        BitDepth::Sixteen => 16,
    };
    let mut data = Vec::new();
    for row in bitmap.ink.chunks(bitmap.width) {
        let mut row_bits: Vec<bool> = Vec::new();
        for sample in row.iter().flat_map(|ink| pixel(*ink)) {
            row_bits.extend((0..bits).rev().map(|bit| sample >> bit & 1 == 1));
        }
        let byte =
            |bits: &[bool]| (0..8).fold(0, |byte, at| byte << 1 | u8::from(bits.get(at) == Some(&true)));
        data.extend(row_bits.chunks(8).map(byte));
    }
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
    file
}

fn black_on_white(bitmap: &Bitmap) -> Vec<u8> {
    png(bitmap, ColorType::Grayscale, BitDepth::Eight, |ink| vec![if ink { 0 } else { 255 }])
}

fn text(file: &[u8]) -> Result<String, OtpError> {
    read_png(file).map(|text| text.with(|text| String::from_utf8(text.to_vec()).unwrap()))
}

#[test]
fn every_colour_type_is_read() {
    let bitmap = code(URI, 4, 4);
    for (depth, max) in [
        (BitDepth::One, 1),
        (BitDepth::Two, 3),
        (BitDepth::Four, 15),
        (BitDepth::Eight, 255),
        (BitDepth::Sixteen, u16::MAX),
    ] {
        let grey = |ink: bool| if ink { 0 } else { max };
        assert_eq!(text(&png(&bitmap, ColorType::Grayscale, depth, |ink| vec![grey(ink)])).unwrap(), URI);
        if max < 255 {
            continue;
        }
        let rgb = |ink| vec![grey(ink); 3];
        assert_eq!(text(&png(&bitmap, ColorType::Rgb, depth, rgb)).unwrap(), URI);
        // Black all over: the ink is what is opaque, and the ground shows through.
        let alpha = |ink| if ink { max } else { 0 };
        assert_eq!(
            text(&png(&bitmap, ColorType::GrayscaleAlpha, depth, |ink| vec![0, alpha(ink)])).unwrap(),
            URI
        );
        assert_eq!(
            text(&png(&bitmap, ColorType::Rgba, depth, |ink| vec![0, 0, 0, alpha(ink)])).unwrap(),
            URI
        );
    }
    for depth in [BitDepth::One, BitDepth::Two, BitDepth::Four, BitDepth::Eight] {
        let palette = |ink| vec![u16::from(ink)];
        assert_eq!(text(&png(&bitmap, ColorType::Indexed, depth, palette)).unwrap(), URI);
    }
}

#[test]
fn tight_tiny_and_dark_codes_are_read() {
    for scale in [1, 2, 3, 10] {
        for quiet in [0, 1, 4] {
            assert_eq!(text(&black_on_white(&code(URI, scale, quiet))).unwrap(), URI, "{scale} {quiet}");
        }
    }
    // A small code on a large screen, as in a screenshot of the console.
    let small = code(URI, 6, 4);
    let mut screen = Bitmap { width: 2400, ink: vec![false; 2400 * 600] };
    for (at, ink) in small.ink.iter().enumerate() {
        screen.ink[(at / small.width + 91) * 2400 + at % small.width + 1001] = *ink;
    }
    assert_eq!(text(&black_on_white(&screen)).unwrap(), URI);

    let light_on_dark = |ink| if ink { vec![200, 210, 220] } else { vec![20, 20, 30] };
    let file = png(&code(URI, 5, 4), ColorType::Rgb, BitDepth::Eight, light_on_dark);
    assert_eq!(text(&file).unwrap(), URI);
}

#[test]
fn the_text_becomes_a_seed() {
    let found = read_png(&black_on_white(&code(URI, 4, 4))).unwrap();
    let enrolment = found.with(crate::otp::Enrolment::from_uri).unwrap();
    enrolment.seed.with(|seed| assert_eq!(seed, b"12345678901234567890"));
}

#[test]
fn a_picture_without_one_otpauth_code_is_refused() {
    let blank = Bitmap { width: 300, ink: vec![false; 90_000] };
    assert_eq!(text(&black_on_white(&blank)), Err(OtpError::NoQrCode));
    let pixel = Bitmap { width: 1, ink: vec![true] };
    assert_eq!(text(&black_on_white(&pixel)), Err(OtpError::NoQrCode));
    let other = code("https://example.com/", 6, 4);
    assert_eq!(text(&black_on_white(&other)), Err(OtpError::QrWithoutOtpauth));
    let one = code(URI, 6, 4);
    assert_eq!(text(&black_on_white(&side_by_side(&one, &one))), Err(OtpError::SeveralQrCodes));

    // The patterns that a code is found by stay, and much of the data between them goes.
    let mut torn = code(URI, 6, 4);
    let (width, height) = (torn.width, torn.ink.len() / torn.width);
    for (at, ink) in torn.ink.iter_mut().enumerate() {
        let (x, y) = (at % width, at / width);
        *ink &= !(height * 2 / 5..height * 2 / 3).contains(&y) || x < width / 3;
    }
    assert_eq!(text(&black_on_white(&torn)), Err(OtpError::UnreadableQrCode));
}

#[test]
fn what_is_no_small_whole_png_is_refused() {
    assert_eq!(text(b""), Err(OtpError::NotPng));
    assert_eq!(text(b"\xff\xd8\xff\xe0 a JPEG"), Err(OtpError::NotPng));
    assert_eq!(text(&vec![0; MAX_PNG + 1]), Err(OtpError::PictureTooLarge));
    let wide = Bitmap { width: 4097, ink: vec![false; 4097] };
    assert_eq!(text(&black_on_white(&wide)), Err(OtpError::PictureTooLarge));
    let whole = black_on_white(&code(URI, 4, 4));
    for length in [8, 20, 40, whole.len() / 2] {
        assert_eq!(text(&whole[..length]), Err(OtpError::DamagedPng), "{length}");
    }
    let mut flipped = whole;
    flipped[60] ^= 1;
    assert_eq!(text(&flipped), Err(OtpError::DamagedPng));
}
