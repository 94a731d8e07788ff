//! What the fuzz target does with an input; `tests/corpus_ctap.rs` does the same with the corpus.

use rootseal::ctap::hid::{Event, MAX_MESSAGE, REPORT, Reassembler, encode};

/// Gives `data` to the framing, report by report, on channel 1; returns how many messages came out. Each of
/// them must survive being framed and put together again.
pub(crate) fn run(data: &[u8]) -> usize {
    let mut reports = Reassembler::new(1);
    let messages = data.chunks(REPORT).filter_map(|report| match reports.feed(report) {
        Ok(Event::Complete(message)) => Some(message),
        Ok(Event::Foreign | Event::Partial) | Err(_) => None,
    });
    messages
        .map(|message| {
            assert!(message.payload.len() <= MAX_MESSAGE);
            let mut again = Reassembler::new(1);
            let framed = encode(1, message.command, &message.payload);
            let last = framed.into_iter().flatten().map(|report| again.feed(&report)).last();
            assert_eq!(last, Some(Ok(Event::Complete(message))));
        })
        .count()
}
