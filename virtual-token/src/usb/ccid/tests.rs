use super::*;

/// A message of the host: kind, number, the bytes that its kind has behind them, data.
fn said(kind: u8, sequence: u8, more: [u8; 3], data: &[u8]) -> Vec<u8> {
    message(kind, Address { slot: 0, sequence }, more, data)
}

fn powered() -> Link {
    let mut link = Link::default();
    assert!(matches!(link.take(&said(POWER_ON, 0, [0; 3], &[])), Event::Reset(_)));
    link
}

/// Status and error of an answer.
fn status(message: &[u8]) -> (u8, u8) {
    (message[7], message[8])
}

fn reply(event: Event) -> Vec<u8> {
    let Event::Reply(message) = event else { panic!("{event:?}") };
    message
}

#[test]
fn a_card_is_powered_asked_and_switched_off() {
    let mut link = Link::default();
    let off = [SLOT_STATUS, 0, 0, 0, 0, 0, 5, UNPOWERED, 0, 0];
    assert_eq!(link.take(&said(GET_SLOT_STATUS, 5, [0; 3], &[])), Event::Reply(off.to_vec()));
    assert_eq!(
        status(&reply(link.take(&said(TRANSFER, 6, [0; 3], &[0, 1, 2, 3])))),
        (FAILED | UNPOWERED, MUTE)
    );

    let on = [&[DATA_BLOCK, 23, 0, 0, 0, 0, 7, POWERED, 0, 0][..], &ATR].concat();
    assert_eq!(link.take(&said(POWER_ON, 7, [0; 3], &[])), Event::Reset(on));
    assert_eq!(link.take(&said(TRANSFER, 8, [0; 3], &[0, 1, 2, 3])), Event::Command(vec![0, 1, 2, 3]));
    assert_eq!(link.more_time(), [DATA_BLOCK, 0, 0, 0, 0, 0, 8, MORE_TIME, 1, 0]);
    assert_eq!(link.complete(&[0x90, 0]), [DATA_BLOCK, 2, 0, 0, 0, 0, 8, POWERED, 0, WHOLE, 0x90, 0]);
    assert_eq!([link.complete(&[1]), link.more_time()].concat(), Vec::<u8>::new());

    let off = vec![SLOT_STATUS, 0, 0, 0, 0, 0, 9, UNPOWERED, 0, 0];
    assert_eq!(link.take(&said(POWER_OFF, 9, [0; 3], &[])), Event::Reset(off));
}

#[test]
fn while_a_command_is_pending_only_an_abort_is_heard() {
    let mut link = powered();
    assert!(matches!(link.take(&said(TRANSFER, 1, [0; 3], &[0; 4])), Event::Command(_)));
    for kind in [POWER_ON, POWER_OFF, GET_SLOT_STATUS, TRANSFER, GET_PARAMETERS, ESCAPE, 0x99] {
        assert_eq!(status(&reply(link.take(&said(kind, 2, [0; 3], &[])))), (FAILED, BUSY), "{kind}");
    }
    let Event::Abort([command, abort]) = link.take(&said(ABORT, 3, [0; 3], &[])) else { panic!() };
    assert_eq!((command[0], command[6], status(&command)), (DATA_BLOCK, 1, (FAILED, ABORTED)));
    assert_eq!((abort[0], abort[6], status(&abort)), (SLOT_STATUS, 3, (POWERED, 0)));
    assert_eq!(link.complete(&[0x90, 0]), Vec::<u8>::new());
    assert!(matches!(link.take(&said(TRANSFER, 4, [0; 3], &[0; 4])), Event::Command(_)));
}

#[test]
fn long_commands_and_long_answers_come_in_blocks() {
    let mut link = powered();
    for place in [FIRST, MIDDLE] {
        let go_on = reply(link.take(&said(TRANSFER, 1, [0, place, 0], &[place; 9])));
        assert_eq!((&go_on[1..5], go_on[9]), (&[0; 4][..], GO_ON));
    }
    let command = [[FIRST; 9], [MIDDLE; 9], [LAST; 9]].concat();
    assert_eq!(link.take(&said(TRANSFER, 1, [0, LAST, 0], &[LAST; 9])), Event::Command(command));

    let long: Vec<u8> = (0..7000_u16).map(|number| number.to_le_bytes()[0]).collect();
    let mut block = link.complete(&long);
    let mut came: Vec<u8> = Vec::new();
    for place in [FIRST, MIDDLE, LAST] {
        assert_eq!(block[9], place);
        assert!(block.len() <= MAX_MESSAGE);
        came.extend(&block[HEADER..]);
        if place != LAST {
            block = reply(link.take(&said(TRANSFER, 2, [0, GO_ON, 0], &[])));
        }
    }
    assert_eq!(came, long);
}

#[test]
fn blocks_out_of_order_are_refused_and_forgotten() {
    let mut link = powered();
    let refused = (FAILED, WRONG_CHAIN);
    for place in [MIDDLE, LAST, 4, 0xFF] {
        assert_eq!(status(&reply(link.take(&said(TRANSFER, 1, [0, place, 0], &[1])))), refused, "{place}");
    }
    link.take(&said(TRANSFER, 1, [0, FIRST, 0], &[1]));
    assert_eq!(status(&reply(link.take(&said(TRANSFER, 2, [0, WHOLE, 0], &[2])))), refused);
    assert_eq!(link.take(&said(TRANSFER, 3, [0, WHOLE, 0], &[3])), Event::Command(vec![3]));
    link.forget();
    // One that never ends.
    let mut refused = false;
    link.take(&said(TRANSFER, 1, [0, FIRST, 0], &[1]));
    for _ in 0..100 {
        refused |= status(&reply(link.take(&said(TRANSFER, 1, [0, MIDDLE, 0], &[1; 3000]))))
            == (FAILED, WRONG_LENGTH);
    }
    assert!(refused);
}

#[test]
fn parameters_are_kept_until_a_reset() {
    let mut link = powered();
    let default = reply(link.take(&said(GET_PARAMETERS, 1, [0; 3], &[])));
    assert_eq!((default[0], default[9], &default[10..]), (PARAMETERS, T1, &DEFAULT_PARAMETERS[..]));
    let set = reply(link.take(&said(SET_PARAMETERS, 2, [T1, 0, 0], &[1, 2, 3, 4, 5, 6, 7])));
    assert_eq!(set[10..], [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(reply(link.take(&said(GET_PARAMETERS, 3, [0; 3], &[])))[10..], [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(reply(link.take(&said(RESET_PARAMETERS, 4, [0; 3], &[])))[10..], DEFAULT_PARAMETERS);
    let other = reply(link.take(&said(SET_PARAMETERS, 5, [0, 0, 0], &[1, 2, 3, 4, 5])));
    assert_eq!(status(&other), (FAILED, WRONG_PROTOCOL));
}

#[test]
fn a_message_may_come_in_packets() {
    let mut link = powered();
    let long = said(TRANSFER, 1, [0; 3], &[7; 118]);
    assert_eq!(long.len(), 2 * PACKET);
    assert_eq!(link.take(&long[..PACKET]), Event::None);
    assert_eq!(link.take(&long[PACKET..]), Event::Command(vec![7; 118]));
}

#[test]
fn what_is_not_as_long_as_it_says_is_refused_and_the_next_message_is_heard() {
    let mut link = powered();
    for length in [1_u32, 100, u32::MAX] {
        let mut cut = said(TRANSFER, 1, [0; 3], &[]);
        cut[1..5].copy_from_slice(&length.to_le_bytes());
        assert_eq!(status(&reply(link.take(&cut))), (FAILED, WRONG_LENGTH), "{length}");
    }
    let mut excess = said(GET_SLOT_STATUS, 1, [0; 3], &[0; 9]);
    excess[1] = 3;
    assert_eq!(status(&reply(link.take(&excess))), (FAILED, WRONG_LENGTH));
    assert_eq!(status(&reply(link.take(&said(GET_SLOT_STATUS, 1, [0; 3], &[])))), (POWERED, 0));

    let mut elsewhere = said(GET_SLOT_STATUS, 1, [0; 3], &[]);
    elsewhere[5] = 1;
    assert_eq!(status(&reply(link.take(&elsewhere))), (FAILED | NO_CARD, NO_SUCH_SLOT));
    assert_eq!(status(&reply(link.take(&said(0x6E, 1, [0; 3], &[])))), (FAILED, UNKNOWN_COMMAND));
}

#[test]
fn garbage_of_every_length_does_no_harm() {
    let mut noise = 1_u32;
    let mut byte = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    for length in 0..4000 {
        let mut link = powered();
        let garbage: Vec<u8> = (0..length).map(|_| byte()).collect();
        link.take(&garbage);
        // Never more than one message is held back.
        for _ in 0..100 {
            link.take(&[0xFF; PACKET]);
            assert!(link.incoming.len() <= MAX_MESSAGE);
        }
        // A packet that is not full ends whatever it was, and a whole message is heard again.
        link.take(&[0]);
        link.forget();
        assert!(!matches!(link.take(&said(GET_SLOT_STATUS, 1, [0; 3], &[])), Event::None), "{length}");
    }
}
