//! A keyboard that follows the protocol from its side, and can be told to do things wrong.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use super::*;
use crate::channel::Cancel;
use crate::crypto::hash::hex;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const STATUS: [u8; 6] = [5, 4, 3, 7, 0x0f, 0];
const KEY: [u8; 20] = [0x0b; 20];
const SERIAL_NUMBER: u32 = 12_345_678;

/// What the keyboard does with a whole frame.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    Refuses,
    /// Waits for so many looks, then answers.
    Touched(usize),
    /// Waits, and nobody comes.
    Untouched,
    WrongSum,
    BreaksOff,
    OutOfTurn,
    /// Never takes a part in.
    Stuck,
}

struct Keyboard {
    mood: Mood,
    frame: [u8; 70],
    /// Reports to be fetched, before the status is there again.
    waiting: VecDeque<[u8; 8]>,
    written: Vec<[u8; 8]>,
    pauses: usize,
}

impl Keyboard {
    fn new(mood: Mood) -> Self {
        Self { mood, frame: [0; 70], waiting: VecDeque::new(), written: Vec::new(), pauses: 0 }
    }

    fn answer(&mut self) {
        let (payload, rest) = self.frame.split_at(64);
        assert_eq!(crc(payload).to_le_bytes(), rest[1..3], "the checksum of the frame");
        let last = payload[63];
        let end = payload.iter().rposition(|byte| *byte != last).map_or(0, |at| at + 1);
        let mut answer = match rest[0] {
            SERIAL => SERIAL_NUMBER.to_be_bytes().to_vec(),
            0x30 | 0x38 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(&KEY).unwrap();
                mac.update(&payload[..end]);
                mac.finalize().into_bytes().to_vec()
            }
            other => panic!("command {other:#04x}"),
        };
        let sum = !crc(&answer);
        answer.extend(sum.to_le_bytes());
        if self.mood == Mood::WrongSum {
            answer[1] ^= 1;
        }
        let with = |part: &[u8], last: u8| {
            let mut report = [0; 8];
            report[..part.len()].copy_from_slice(part);
            report[7] = last;
            report
        };
        let (waits, touched) = match self.mood {
            Mood::Touched(looks) => (looks, true),
            Mood::Untouched => (3, false),
            Mood::Answers
            | Mood::Refuses
            | Mood::WrongSum
            | Mood::BreaksOff
            | Mood::OutOfTurn
            | Mood::Stuck => (0, true),
        };
        // It takes its time first.
        self.waiting.push_back(with(&[], WRITE));
        self.waiting.extend(vec![with(&[], WAITING); waits]);
        if self.mood == Mood::Refuses || !touched {
            return;
        }
        for (number, part) in (0..).zip(answer.chunks(7)) {
            let number = if self.mood == Mood::OutOfTurn { number * 2 } else { number };
            self.waiting.push_back(with(part, ANSWER | number));
        }
        if self.mood == Mood::BreaksOff {
            self.waiting.pop_back();
        } else {
            self.waiting.push_back(with(&[], ANSWER));
        }
    }
}

impl FeatureReports for Keyboard {
    fn get(&mut self) -> Result<[u8; 8], ChannelError> {
        let mut status = [0; 8];
        status[1..7].copy_from_slice(&STATUS);
        if self.mood == Mood::Stuck && !self.written.is_empty() {
            status[7] = WRITE;
        }
        Ok(self.waiting.pop_front().unwrap_or(status))
    }

    fn set(&mut self, report: [u8; 8]) -> Result<(), ChannelError> {
        self.written.push(report);
        if report[7] == FORGET {
            self.waiting.clear();
            return Ok(());
        }
        assert_eq!(report[7] & !NUMBER, WRITE);
        let number = usize::from(report[7] & NUMBER);
        if number == 0 {
            self.frame = [0; 70];
        }
        self.frame[number * 7..][..7].copy_from_slice(&report[..7]);
        if number == 9 {
            self.answer();
        }
        Ok(())
    }

    fn pause(&mut self, patience: &Patience) -> Result<(), ChannelError> {
        self.pauses += 1;
        if patience.cancel.is_cancelled() { Err(ChannelError::Cancelled) } else { Ok(()) }
    }
}

fn patience() -> Patience {
    Patience { deadline: Instant::now() + Duration::from_mins(1), cancel: Cancel::new().unwrap() }
}

fn ask(keyboard: &mut Keyboard, challenge: &[u8]) -> Result<String, PivError> {
    let patience = patience();
    let mut otp = OtpReports::open(keyboard, &patience)?;
    Ok(otp.challenge_response(OtpSlot::Two, challenge)?.with(hex))
}

/// RFC 2202, case 1.
const MAC: &str = "b617318655057264e28bc0b6fb378c8ef146be00";

#[test]
fn checksums_are_those_of_the_standard() {
    // The check value of CRC-16/IBM-SDLC, which is what the frames carry, complemented.
    assert_eq!(!crc(b"123456789"), 0x906e);
    assert_eq!(crc(&[&b"123456789"[..], &0x906e_u16.to_le_bytes()].concat()), CRC_OK);
}

#[test]
fn a_frame_goes_in_reports_without_those_that_are_empty() {
    let mut keyboard = Keyboard::new(Mood::Answers);
    assert_eq!(ask(&mut keyboard, b"Hi There").as_deref(), Ok(MAC));
    let numbers: Vec<u8> = keyboard.written.iter().map(|report| report[7]).collect();
    // The padding of a challenge that does not end in zero is zero.
    assert_eq!(numbers, [0x80, 0x81, 0x89, FORGET]);
    assert_eq!(keyboard.written[0], *b"Hi Ther\x80");
    assert_eq!(keyboard.written[2][1..4], [0x38, keyboard.frame[65], keyboard.frame[66]]);
    // One that does is padded with ones, which have to go.
    let mut keyboard = Keyboard::new(Mood::Answers);
    ask(&mut keyboard, b"Hi There\0").unwrap();
    assert_eq!(keyboard.written.len(), 11);
}

#[test]
fn it_says_what_it_is() {
    let (patience, mut keyboard) = (patience(), Keyboard::new(Mood::Answers));
    let mut otp = OtpReports::open(&mut keyboard, &patience).unwrap();
    assert_eq!(otp.serial(), Ok(Some(SERIAL_NUMBER)));
    assert_eq!(otp.status().version.0, [5, 4, 3]);
    assert!(otp.status().is_configured(OtpSlot::One) && otp.status().needs_touch(OtpSlot::Two));
    let mut keyboard = Keyboard::new(Mood::Refuses);
    assert_eq!(OtpReports::open(&mut keyboard, &patience).unwrap().serial(), Ok(None));
}

#[test]
fn a_touch_is_waited_for() {
    let mut keyboard = Keyboard::new(Mood::Touched(50));
    assert_eq!(ask(&mut keyboard, b"Hi There").as_deref(), Ok(MAC));
    assert!(keyboard.pauses >= 50);
    let mut keyboard = Keyboard::new(Mood::Untouched);
    assert_eq!(ask(&mut keyboard, b"Hi There"), Err(PivError::NotVerified));
}

#[test]
fn whoever_gives_up_stops_the_blinking() {
    let (patience, mut keyboard) = (patience(), Keyboard::new(Mood::Touched(50)));
    let mut otp = OtpReports::open(&mut keyboard, &patience).unwrap();
    patience.cancel.cancel();
    let cancelled = Some(PivError::Channel(ChannelError::Cancelled));
    assert_eq!(otp.challenge_response(OtpSlot::One, b"x").err(), cancelled);
    assert_eq!(keyboard.written.last(), Some(&forget()));
    assert!(keyboard.waiting.is_empty());
    // As well while it takes nothing in.
    let mut keyboard = Keyboard::new(Mood::Stuck);
    let mut otp = OtpReports::open(&mut keyboard, &patience).unwrap();
    assert_eq!(otp.challenge_response(OtpSlot::One, b"x").err(), cancelled);
}

#[test]
fn what_is_wrong_with_an_answer_is_found_out() {
    for (mood, error) in [
        (Mood::Refuses, NO_KEY),
        (Mood::WrongSum, PivError::Malformed("an OTP answer with a wrong checksum")),
        (Mood::BreaksOff, PivError::Malformed("an OTP answer that breaks off")),
        (Mood::OutOfTurn, PivError::Malformed("parts of an OTP answer out of turn")),
    ] {
        let mut keyboard = Keyboard::new(mood);
        assert_eq!(ask(&mut keyboard, b"Hi There"), Err(error));
        assert_eq!(keyboard.written.last(), Some(&forget()));
    }
    for length in [0, 64, 65] {
        ask(&mut Keyboard::new(Mood::Answers), &vec![1; length]).unwrap_err();
    }
}

#[test]
fn an_answer_that_another_program_left_is_dropped() {
    let mut keyboard = Keyboard::new(Mood::Answers);
    keyboard.waiting.extend([[1, 2, 3, 4, 5, 6, 7, ANSWER | 1]; 100]);
    assert_eq!(ask(&mut keyboard, b"Hi There").as_deref(), Ok(MAC));
    assert_eq!(keyboard.written.first(), Some(&forget()));
    // One that is being read is left to whoever reads it, and so is a touch that is waited for.
    let mut keyboard = Keyboard::new(Mood::Answers);
    keyboard.waiting.extend([[0, 0, 0, 0, 0, 0, 0, WAITING]; 100]);
    keyboard.waiting.extend([[1, 2, 3, 4, 5, 6, 7, ANSWER]; 3]);
    assert_eq!(ask(&mut keyboard, b"Hi There").as_deref(), Ok(MAC));
    assert_ne!(keyboard.written.first(), Some(&forget()));
}
