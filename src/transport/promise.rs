//! A value that a thread owes, which can be waited for together with a cancel and a deadline: for calls that block
//! and cannot be ended, such as those of PC/SC. Whoever stops waiting is free at once; the call runs out by itself.

use super::wait::readable;
use crate::channel::{Cancel, ChannelError, Patience};
use std::io::ErrorKind;
use std::sync::mpsc;

/// The thread's end.
pub(super) struct Promise<R> {
    answer: mpsc::Sender<R>,
    done: Cancel,
}

/// The other end.
pub(super) struct Promised<R> {
    answer: mpsc::Receiver<R>,
    done: Cancel,
}

/// A pair of ends.
pub(super) fn promise<R>() -> Result<(Promise<R>, Promised<R>), ChannelError> {
    let done = Cancel::new().map_err(|error| ChannelError::Io(error.kind()))?;
    let (sender, receiver) = mpsc::channel();
    Ok((Promise { answer: sender, done: done.clone() }, Promised { answer: receiver, done }))
}

impl<R> Promise<R> {
    pub(super) fn keep(self, answer: R) {
        // Nobody may be waiting any more.
        let _abandoned = self.answer.send(answer);
    }
}

/// Also where the promise is broken: whoever waits must not wait for ever.
impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

impl<R> Promised<R> {
    pub(super) fn wait(&self, patience: &Patience) -> Result<R, ChannelError> {
        readable(&self.done, patience)?;
        self.answer.try_recv().map_err(|_broken| ChannelError::Io(ErrorKind::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_promise_is_kept_broken_or_given_up() {
        let over = Patience { deadline: Instant::now(), cancel: Cancel::new().unwrap() };
        let (promise, promised) = super::promise::<u8>().unwrap();
        assert_eq!(promised.wait(&over), Err(ChannelError::TimedOut));
        promise.keep(7);
        assert_eq!(promised.wait(&over), Ok(7));
        let (promise, promised) = super::promise::<u8>().unwrap();
        drop(promise);
        assert_eq!(promised.wait(&over), Err(ChannelError::Io(ErrorKind::Other)));
        let (_promise, promised) = super::promise::<u8>().unwrap();
        over.cancel.cancel();
        assert_eq!(promised.wait(&over), Err(ChannelError::Cancelled));
    }
}
