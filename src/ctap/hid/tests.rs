use super::{Event, Link, MAX_MESSAGE, Message, Reassembler, encode};
use crate::channel::ChannelError::{Cancelled, Gone, TimedOut};
use crate::channel::Patience;
use crate::ctap::tests::mock::{BROADCAST, CANCEL, CBOR, ERROR, INIT, KEEPALIVE, Mock, Step, patience};
use crate::ctap::{CtapError, KeepAlive, Wait};
use std::time::{Duration, Instant};

/// A token that gives the n-th answer to the n-th command, and nothing to a cancel.
fn scripted(answers: Vec<Vec<Step>>) -> Mock {
    let mut answers = answers.into_iter();
    Mock::new(move |message| match message.command {
        CANCEL => Vec::new(),
        _ => answers.next().unwrap(),
    })
}

fn quiet(patience: &Patience, link: &mut Link<Mock>) -> Result<Vec<u8>, CtapError> {
    link.cbor(b"request", &mut Wait { patience, on_keepalive: &mut |_| {} })
}

/// What a command ends with, when the token sends this.
fn ends_with(steps: Vec<Step>) -> Result<Vec<u8>, CtapError> {
    let mut link = Link::open(scripted(vec![steps]), &patience()).unwrap();
    quiet(&patience(), &mut link)
}

fn reply(text: &[u8]) -> Step {
    Step::Ours(CBOR, text.to_vec())
}

#[test]
fn messages_of_every_length_survive_framing() {
    for length in [0, 1, 56, 57, 58, 115, 116, 117, 1024, MAX_MESSAGE - 1, MAX_MESSAGE] {
        let payload: Vec<u8> = (0..length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        let mut reports = Reassembler::new(9);
        let last =
            encode(9, CBOR, &payload).unwrap().iter().map(|report| reports.feed(report)).last().unwrap();
        assert_eq!(last, Ok(Event::Complete(Message { command: CBOR, payload })));
    }
    assert!(encode(9, CBOR, &vec![0; MAX_MESSAGE + 1]).is_err());
    assert!(encode(9, CBOR, &vec![0; 70_000]).is_err());
}

#[test]
fn the_bytes_of_a_report_are_those_of_the_specification() {
    let reports = encode(0x0102_0304, CBOR, &[7; 60]).unwrap();
    assert_eq!(reports[0][..8], [1, 2, 3, 4, 0x90, 0, 60, 7]);
    assert_eq!(reports[1][..9], [1, 2, 3, 4, 0, 7, 7, 7, 0]);
    assert_eq!(reports.len(), 2);
}

#[test]
fn garbage_of_every_length_is_refused() {
    for length in (0..200).filter(|length| *length != 64) {
        assert!(Reassembler::new(0).feed(&vec![0; length]).is_err());
    }
    assert_eq!(
        ends_with(vec![Step::Raw(vec![0xff; 63])]),
        Err(malformed("a report that is not 64 bytes long"))
    );
}

fn malformed(why: &'static str) -> CtapError {
    CtapError::Malformed(why)
}

#[test]
fn a_long_answer_arrives_whole_among_other_programs_reports() {
    let payload = vec![5; 300];
    let foreign = Step::On(0x7777, CBOR, vec![1; 300]);
    let steps = vec![foreign.clone(), Step::Ours(CBOR, payload.clone()), foreign];
    assert_eq!(ends_with(steps), Ok(payload));
}

#[test]
fn other_programs_reports_are_not_skipped_for_ever() {
    let flood = vec![Step::On(0x7777, CBOR, vec![1]); 5000];
    assert_eq!(ends_with(flood), Err(malformed("no end of reports that answer nothing")));
}

#[test]
fn broken_sequences_are_refused() {
    let whole = |cid: u32| encode(cid, CBOR, &[1; 200]).unwrap().map_raw();
    let cid = 0x0100_0001;
    let [first, second, third, ..] = &whole(cid)[..] else { panic!() };
    let cases = [
        (vec![first.clone(), third.clone()], "a report out of sequence"),
        (vec![first.clone(), second.clone(), second.clone()], "a report out of sequence"),
        (vec![second.clone()], "a continuation of no message"),
        (vec![first.clone(), first.clone()], "a new message in the middle of another"),
    ];
    for (steps, why) in cases {
        assert_eq!(ends_with(steps), Err(malformed(why)));
    }
    let mut too_long = first_report(first);
    too_long[5..7].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(ends_with(vec![Step::Raw(too_long)]), Err(malformed("a message longer than CTAPHID allows")));
}

trait MapRaw {
    fn map_raw(self) -> Vec<Step>;
}

impl MapRaw for Vec<[u8; 64]> {
    fn map_raw(self) -> Vec<Step> {
        self.into_iter().map(|report| Step::Raw(report.to_vec())).collect()
    }
}

fn first_report(step: &Step) -> Vec<u8> {
    let Step::Raw(report) = step else { panic!() };
    report.clone()
}

#[test]
fn errors_of_the_framing_have_their_names() {
    assert_eq!(ends_with(vec![Step::Ours(ERROR, vec![0x06])]), Err(CtapError::Busy));
    assert_eq!(ends_with(vec![Step::Ours(ERROR, vec![0x03])]), Err(CtapError::Hid(3)));
    assert_eq!(ends_with(vec![Step::Ours(ERROR, vec![])]), Err(malformed("a reply to another command")));
    assert_eq!(ends_with(vec![Step::Ours(INIT, vec![])]), Err(malformed("a reply to another command")));
    assert_eq!(ends_with(vec![Step::Fail(Gone)]), Err(Gone.into()));
}

#[test]
fn keepalives_are_reported_when_they_change() {
    let alive = |status| Step::Ours(KEEPALIVE, vec![status]);
    let steps = vec![alive(1), alive(1), alive(2), alive(2), alive(2), alive(1), reply(b"ok")];
    let mut link = Link::open(scripted(vec![steps]), &patience()).unwrap();
    let mut heard = Vec::new();
    let patience = patience();
    let wait = &mut Wait { patience: &patience, on_keepalive: &mut |state| heard.push(state) };
    assert_eq!(link.cbor(b"request", wait), Ok(b"ok".to_vec()));
    assert_eq!(heard, [KeepAlive::Processing, KeepAlive::TouchNeeded, KeepAlive::Processing]);
}

#[test]
fn endless_keepalives_end_at_the_deadline() {
    let mut link = Link::open(scripted(vec![vec![Step::Endless(KEEPALIVE, vec![2])]]), &patience()).unwrap();
    let short = Patience { deadline: Instant::now() + Duration::from_millis(10), ..patience() };
    assert_eq!(quiet(&short, &mut link), Err(TimedOut.into()));
}

#[test]
fn endless_keepalives_end_when_cancelled() {
    let mock = scripted(vec![vec![Step::Ours(KEEPALIVE, vec![2]), Step::Endless(KEEPALIVE, vec![1])]]);
    let sent = mock.sent.clone();
    let mut link = Link::open(mock, &patience()).unwrap();
    let patience = patience();
    let cancel = patience.cancel.clone();
    let wait = &mut Wait { patience: &patience, on_keepalive: &mut |_| cancel.cancel() };
    assert_eq!(link.cbor(b"request", wait), Err(Cancelled.into()));
    assert_eq!(sent.lock().unwrap().last(), Some(&(0x0100_0001, CANCEL, vec![])));
}

#[test]
fn nothing_is_sent_when_patience_is_over_before() {
    let mock = scripted(vec![]);
    let sent = mock.sent.clone();
    let mut link = Link::open(mock, &patience()).unwrap();
    assert_eq!(quiet(&Patience { deadline: Instant::now(), ..patience() }, &mut link), Err(TimedOut.into()));
    let over = patience();
    over.cancel.cancel();
    assert_eq!(quiet(&over, &mut link), Err(Cancelled.into()));
    assert_eq!(sent.lock().unwrap().len(), 1, "CTAPHID_INIT alone");
}

#[test]
fn a_cancelled_commands_last_reply_is_drained() {
    let mut answers = vec![vec![Step::Fail(Cancelled)], vec![reply(b"fresh")]].into_iter();
    let mock = Mock::new(move |message| match message.command {
        CANCEL => vec![Step::Ours(KEEPALIVE, vec![1]), reply(b"\x2d")],
        _ => answers.next().unwrap(),
    });
    let sent = mock.sent.clone();
    let mut link = Link::open(mock, &patience()).unwrap();
    assert_eq!(quiet(&patience(), &mut link), Err(Cancelled.into()));
    assert_eq!(quiet(&patience(), &mut link), Ok(b"fresh".to_vec()));
    let commands: Vec<_> = sent.lock().unwrap().iter().map(|(cid, command, _)| (*cid, *command)).collect();
    let ours = 0x0100_0001;
    assert_eq!(commands, [(BROADCAST, INIT), (ours, CBOR), (ours, CANCEL), (ours, CBOR)]);
}

#[test]
fn a_reply_that_comes_too_late_is_not_taken_for_the_next_ones() {
    let late = Step::On(0x0100_0001, CBOR, b"stale".to_vec());
    let mut link =
        Link::open(scripted(vec![vec![Step::Fail(TimedOut)], vec![late, reply(b"fresh")]]), &patience())
            .unwrap();
    assert_eq!(quiet(&patience(), &mut link), Err(TimedOut.into()));
    // The token said nothing to the cancel, so the next command goes out on a channel of its own.
    assert_eq!(quiet(&patience(), &mut link), Ok(b"fresh".to_vec()));
}

#[test]
fn after_nonsense_the_next_command_starts_afresh() {
    let stale = Step::On(0x0100_0001, CBOR, b"stale".to_vec());
    let mut link = Link::open(
        scripted(vec![vec![Step::Ours(INIT, vec![]), stale.clone()], vec![stale, reply(b"fresh")]]),
        &patience(),
    )
    .unwrap();
    assert!(quiet(&patience(), &mut link).is_err());
    assert_eq!(quiet(&patience(), &mut link), Ok(b"fresh".to_vec()));
}

#[test]
fn our_channel_id_is_the_one_with_our_nonce() {
    let mut mock = scripted(vec![vec![reply(b"ok")]]);
    let theirs = [&[9; 8][..], &0x0BAD_u32.to_be_bytes(), &[2, 0, 0, 0, 0x0c]].concat();
    mock.before_init = vec![
        Step::On(BROADCAST, INIT, theirs),
        Step::Raw(vec![0; 64]),
        Step::Raw(vec![0xff; 64]),
        Step::Raw(vec![0xff; 3]),
        Step::On(BROADCAST, CBOR, vec![1]),
    ];
    let sent = mock.sent.clone();
    let mut link = Link::open(mock, &patience()).unwrap();
    assert_eq!(quiet(&patience(), &mut link), Ok(b"ok".to_vec()));
    assert_eq!(sent.lock().unwrap()[1].0, 0x0100_0001);
}

#[test]
fn a_token_that_cannot_be_opened_says_why() {
    let mut u2f = scripted(vec![]);
    u2f.capabilities = 0x01;
    assert_eq!(Link::open(u2f, &patience()).err(), Some(CtapError::Unsupported("FIDO2")));
    let mut busy = scripted(vec![]);
    busy.before_init = vec![Step::On(BROADCAST, ERROR, vec![6])];
    assert_eq!(Link::open(busy, &patience()).err(), Some(CtapError::Busy));
    let mut mute = scripted(vec![]);
    mute.before_init = vec![Step::Fail(TimedOut)];
    assert_eq!(Link::open(mute, &patience()).err(), Some(TimedOut.into()));
    let mut noisy = scripted(vec![]);
    noisy.before_init = vec![Step::Endless(KEEPALIVE, vec![1])];
    assert_eq!(
        Link::open(noisy, &patience()).err(),
        Some(malformed("no end of reports that answer nothing")),
        "the answer with our nonce stands behind no end of noise",
    );
}
