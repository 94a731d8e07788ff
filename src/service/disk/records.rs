//! Records on their way to the writer: those that wait share one sync, refusals in a row share one record.

use super::Writer;
use super::desk::Written;
use crate::audit::{AuditError, Entry, Note, Refusals};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

/// Records that are written in one go at most.
const BATCH: usize = 64;

type Answer = oneshot::Sender<Result<(), AuditError>>;

pub(super) enum Message {
    /// A record, and who waits for it to be on the disk.
    Record(Box<Note>, Answer),
    /// All that is held is to be written.
    TellAll(Answer),
}

/// Hands the records that wait to the writer, all of them in one job: they share one sync and its fate. To wake the
/// writer's thread, and to be woken by it, costs more than a record does.
pub(super) async fn collect(mut messages: UnboundedReceiver<Message>, writer: Writer) {
    let mut refusals = Refusals::default();
    loop {
        let mut received = Vec::new();
        let due = refusals.next_due().map(|due| tokio::time::sleep_until(due.into()));
        let more = messages.recv_many(&mut received, BATCH);
        let count = match due {
            Some(due) => tokio::select! {
                biased;
                count = more => Some(count),
                () = due => None,
            },
            None => Some(more.await),
        };
        if count == Some(0) {
            break;
        }
        let batch = Batch::of(received, &mut refusals);
        if batch.notes.is_empty() {
            batch.end(&Written { granted: Ok(()), refused: Ok(()) });
            continue;
        }
        let notes = batch.notes.clone();
        // Without a result the answers are dropped, which is one, too.
        let Ok(written) = writer.run(move |desk| desk.write(&notes)).await else { continue };
        if written.refused.is_err() {
            refusals.hold_again(batch.refused(), Instant::now());
        }
        batch.end(&written);
    }
}

/// What is written together.
struct Batch {
    notes: Vec<Note>,
    granted: Vec<Answer>,
    refused: Vec<Answer>,
}

impl Batch {
    fn of(messages: Vec<Message>, refusals: &mut Refusals) -> Self {
        let now = Instant::now();
        let mut batch = Self { notes: Vec::new(), granted: Vec::new(), refused: Vec::new() };
        let mut late = Vec::new();
        let mut all = false;
        for message in messages {
            match message {
                Message::TellAll(answer) => {
                    all = true;
                    batch.refused.push(answer);
                }
                Message::Record(note, answer) if Refusals::concern(&note.entry) => {
                    late.extend(refusals.take(note.entry, now).map(Note::from));
                    batch.refused.push(answer);
                }
                Message::Record(note, answer) => {
                    all = true;
                    late.push(*note);
                    batch.granted.push(answer);
                }
            }
        }
        // What was held is older than what has just come, or of the same moment.
        let held = if all { refusals.all() } else { refusals.due(now) };
        batch.notes.extend(held.into_iter().map(Note::from));
        batch.notes.append(&mut late);
        batch
    }

    /// The refusals among the records.
    fn refused(&self) -> Vec<Entry> {
        let entries = self.notes.iter().map(|note| &note.entry);
        entries.filter(|entry| Refusals::concern(entry)).cloned().collect()
    }

    fn end(self, written: &Written) {
        for (answers, result) in [(self.granted, &written.granted), (self.refused, &written.refused)] {
            for answer in answers {
                let _asker_gone = answer.send(result.clone());
            }
        }
    }
}
