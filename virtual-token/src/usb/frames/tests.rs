use super::*;

const STATUS: Status = [5, 4, 3, 7, 2, 0];
const IDLE: Report = [0, 5, 4, 3, 7, 2, 0, 0];
const BUSY: Report = [0, 5, 4, 3, 7, 2, 0, WRITE];
/// CRC-16 of 64 zeros, low byte first.
const ZEROS_SUM: [u8; 2] = [0x6B, 0x5B];

fn frame(command: u8) -> Frame {
    Frame { command, payload: [0; PAYLOAD] }
}

/// The last report of a frame of zeros: its tenth part begins with the payload's last byte.
fn end_of(command: u8) -> Report {
    let [low, high] = ZEROS_SUM;
    [0, command, low, high, 0, 0, 0, WRITE | 9]
}

fn asked(command: u8) -> Link {
    let mut link = Link::default();
    assert_eq!(link.take(with(&[], WRITE)), Event::None);
    assert_eq!(link.take(end_of(command)), Event::Command(frame(command)));
    link
}

#[test]
fn what_is_left_out_of_a_frame_is_zero() {
    let mut link = Link::default();
    // Of another frame, that was broken off.
    for number in 0..3 {
        link.take(with(&[9; PART], WRITE | number));
    }
    link.take(with(&[], WRITE));
    assert_eq!(link.report(Some(STATUS)), IDLE);
    assert_eq!(link.take(end_of(0x10)), Event::Command(frame(0x10)));
    assert_eq!(link.report(Some(STATUS)), BUSY);
}

#[test]
fn parts_go_to_their_places() {
    let mut link = Link::default();
    let payload: [u8; PAYLOAD] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    // CRC-16 of that, low byte first.
    let whole = [&payload[..], &[0x38, 0x5A, 0x33, 0, 0, 0]].concat();
    let reports: Vec<_> = (WRITE..).zip(whole.chunks(PART)).map(|(last, part)| with(part, last)).collect();
    let (end, begin) = reports.split_last().unwrap();
    for report in begin {
        assert_eq!(link.take(*report), Event::None);
    }
    assert_eq!(link.take(*end), Event::Command(Frame { command: 0x38, payload }));
}

#[test]
fn what_is_no_frame_is_dropped() {
    let mut broken = end_of(0x10);
    broken[2] ^= 1;
    for reports in [
        // A wrong checksum, no beginning, out of turn, the same part twice, and reports that are no parts.
        &[with(&[], WRITE), broken][..],
        &[end_of(0x10)],
        &[with(&[], WRITE), with(&[], WRITE | 2), with(&[], WRITE | 1), end_of(0x10)],
        &[with(&[], WRITE), with(&[], WRITE | 1), with(&[], WRITE | 1), end_of(0x10)],
        &[[0; 8], [0xFF, 0, 0, 0, 0, 0, 0, 0x7F]],
    ] {
        let mut link = Link::default();
        for report in reports {
            assert_eq!(link.take(*report), Event::None);
        }
        assert_eq!(link.report(Some(STATUS)), IDLE);
    }
}

#[test]
fn an_answer_is_read_in_parts_until_it_is_forgotten() {
    let mut link = asked(0x10);
    link.complete(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(link.report(Some(STATUS)), [1, 2, 3, 4, 5, 6, 7, ANSWER]);
    assert_eq!(link.report(Some(STATUS)), [8, 0, 0, 0, 0, 0, 0, ANSWER | 1]);
    for _ in 0..2 {
        assert_eq!(link.report(Some(STATUS)), with(&[], ANSWER));
    }
    assert_eq!(link.take(with(&[], 0xFF)), Event::None);
    assert_eq!(link.report(Some(STATUS)), IDLE);
    // None at all: the status tells that it is over.
    let mut link = asked(0x03);
    link.complete(&[]);
    assert_eq!(link.report(Some(STATUS)), IDLE);
}

#[test]
fn a_touch_is_waited_for_with_the_seconds_that_are_left() {
    let mut link = asked(0x38);
    link.wait(Some(Duration::from_secs(15)));
    assert!(matches!(link.report(Some(STATUS))[7], 0x2E | 0x2F));
    link.wait(Some(Duration::from_hours(1)));
    assert_eq!(link.report(Some(STATUS))[7], WAITING | NUMBER);
    link.wait(None);
    assert_eq!(link.report(Some(STATUS)), BUSY);
    link.complete(&[7]);
    link.wait(Some(Duration::from_secs(15)));
    assert_eq!(link.report(Some(STATUS)), with(&[7], ANSWER));
}

#[test]
fn a_busy_keyboard_hears_only_that_it_is_to_give_up() {
    for end in [0x8F, 0xFF] {
        let mut link = asked(0x38);
        assert_eq!(link.take(with(&[], WRITE)), Event::None);
        assert_eq!(link.take(end_of(0x10)), Event::None);
        assert_eq!(link.take(with(&[], end)), Event::Forget);
        assert_eq!(link.take(with(&[], end)), Event::None, "it is told once");
        assert_eq!(link.report(Some(STATUS)), BUSY);
        link.complete(&[1]);
        assert_eq!(link.report(Some(STATUS)), IDLE, "nobody wants this answer");
    }
}

#[test]
fn a_keyboard_whose_status_is_not_known_is_busy() {
    assert_eq!(Link::default().report(None), with(&[], WRITE));
}
