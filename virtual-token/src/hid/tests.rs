use super::*;

const CHANNEL: u32 = 7;

fn first(channel: u32, command: u8, length: u16, payload: &[u8]) -> Report {
    report(channel, &[&[command | FIRST], &length.to_be_bytes()[..], payload])
}

fn linked() -> Link {
    let mut link = Link::default();
    let event = link.take(&first(BROADCAST, INIT, 8, &[1, 2, 3, 4, 5, 6, 7, 8]), || CHANNEL);
    let Event::Reply(reports) = event else { panic!("{event:?}") };
    assert_eq!(reports[0][..4], BROADCAST.to_be_bytes());
    assert_eq!(reports[0][7..24], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7, 2, 0, 1, 0, 5]);
    link
}

fn take(link: &mut Link, report: &Report) -> Event {
    link.take(report, || panic!("no channel is wanted"))
}

#[test]
fn every_length_survives_the_way_there_and_back() {
    for length in [0, 1, 56, 57, 58, 116, 117, 1024, MAX_MESSAGE] {
        let mut link = linked();
        let message: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        let reports = frame(CHANNEL, CBOR, &message);
        let (last, before) = reports.split_last().unwrap();
        for report in before {
            assert_eq!(take(&mut link, report), Event::None);
            assert!(link.is_receiving());
        }
        assert_eq!(take(&mut link, last), Event::Request(Command::Cbor, message.clone()));
        assert_eq!(link.complete(&message), reports);
    }
}

#[test]
fn a_wrong_sequence_ends_the_message() {
    let mut link = linked();
    assert_eq!(take(&mut link, &first(CHANNEL, CBOR, 200, &[0; 57])), Event::None);
    assert_eq!(take(&mut link, &report(CHANNEL, &[&[1]])), error(CHANNEL, HidError::InvalidSequence));
    assert!(!link.is_receiving());
}

#[test]
fn a_message_that_stops_times_out_and_the_link_goes_on() {
    let mut link = linked();
    assert_eq!(take(&mut link, &first(CHANNEL, CBOR, 200, &[0; 57])), Event::None);
    assert_eq!(link.time_out(), error_frame(CHANNEL, HidError::MessageTimeout));
    assert_eq!(take(&mut link, &first(CHANNEL, CBOR, 1, &[4])), Event::Request(Command::Cbor, vec![4]));
}

#[test]
fn cancel_reaches_only_its_own_channel() {
    let mut link = linked();
    link.take(&first(BROADCAST, INIT, 8, &[0; 8]), || 8);
    assert_eq!(take(&mut link, &first(CHANNEL, CANCEL, 0, &[])), Event::None);
    take(&mut link, &first(CHANNEL, CBOR, 1, &[4]));
    assert_eq!(take(&mut link, &first(8, CANCEL, 0, &[])), Event::None);
    assert_eq!(take(&mut link, &first(8, CBOR, 1, &[4])), error(8, HidError::ChannelBusy));
    assert_eq!(take(&mut link, &first(CHANNEL, CANCEL, 0, &[])), Event::Cancel);
    assert_eq!(link.keepalive(Status::UpNeeded), frame(CHANNEL, KEEPALIVE, &[2]));
}

#[test]
fn init_on_a_busy_channel_starts_anew() {
    let mut link = linked();
    take(&mut link, &first(CHANNEL, CBOR, 1, &[4]));
    assert!(matches!(take(&mut link, &first(CHANNEL, INIT, 8, &[0; 8])), Event::Abort(_)));
    assert_eq!(link.complete(&[0]), Vec::<Report>::new(), "the old answer is not wanted");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut link = linked();
    assert_eq!(take(&mut link, &first(9, CBOR, 1, &[4])), error(9, HidError::InvalidChannel));
    assert_eq!(take(&mut link, &first(9, INIT, 8, &[0; 8])), error(9, HidError::InvalidChannel));
    assert_eq!(take(&mut link, &first(CHANNEL, INIT, 7, &[0; 8])), error(CHANNEL, HidError::InvalidLength));
    assert_eq!(take(&mut link, &first(CHANNEL, CBOR, 7610, &[4])), error(CHANNEL, HidError::InvalidLength));
    assert_eq!(take(&mut link, &first(CHANNEL, 0x2A, 0, &[])), error(CHANNEL, HidError::InvalidCommand));
    assert_eq!(take(&mut link, &report(CHANNEL, &[&[0]])), Event::None);
}
