//! The virtual token, asked without a daemon: to enrol it in a vault that is made here, and to see how long it takes
//! by itself.

use crate::crowd;
use crate::house::PIN;
use rootseal::secret::{Pin, TokenSecret};
use rootseal::store::{FileStore, Keep, Store as _};
use rootseal::token::registry::{Patient, Present, Registry};
use rootseal::token::{Derived, NewKey, PinPurpose, Wanted};
use rootseal::vault::{Lock, NewSlot, NewVault, Thresholds};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

async fn present(socket: &Path) -> Present {
    let mut registry = Registry::new(vec![socket.to_owned()], false);
    let (mut present, _silent) = registry.look(Ok(Vec::new())).present(Patient::Yes).await;
    present.retain(|token| token.is_virtual);
    present.pop().unwrap()
}

/// Makes a vault with `items` in the directory `data`, which the token at `socket` opens. The daemon would save after
/// each. Returns the keyslot's binding.
pub(crate) async fn make_vault(socket: &Path, data: &Path, items: usize) -> Vec<u8> {
    let token = present(socket).await;
    let held = token.worker.hold();
    let enrolled = token.worker.run(PATIENCE, |token, patience| {
        let pin = Pin::copy_from(PIN.as_bytes());
        token.verify_pin(&pin, PinPurpose::Create, patience)?;
        let binding = token.create(&NewKey::default(), patience, &mut || {})?;
        token.verify_pin(&pin, PinPurpose::Derive, patience)?;
        let both = Wanted { unlock: true, guard: true };
        let derived = token.derive(&binding, both, patience, &mut || {})?;
        Ok((binding, derived))
    });
    let (binding, Derived { unlock, guard }) = enrolled.await.unwrap();
    drop(held);
    let guard = guard.unwrap();
    let slot = NewSlot {
        holder: "owner".to_owned(),
        label: "bench".to_owned(),
        kind: token.kind.keyslot().unwrap_or_default().to_owned(),
        created: 1,
        binding: binding.clone(),
        unlock: unlock.unwrap(),
        guard: Some(guard.with(TokenSecret::copy_from)),
    };
    let mut vault = NewVault::create(vec![slot], Thresholds::ONE).unwrap().into_unlocked();
    let key = crowd::collected(vault.header(), Lock::Guard, &guard).guard_key().unwrap();
    crowd::fill(&mut vault, key, items);
    FileStore::open(data).unwrap().save(vault.lock().bytes(), Keep::Previous).unwrap();
    binding
}

/// What a guarded operation asks of the token at `socket`, whose key `binding` names.
pub(crate) async fn open_guard(socket: &Path, binding: &[u8]) {
    let token = present(socket).await;
    let bindings = vec![binding.to_vec()];
    let found = token.worker.run(PATIENCE, move |token, patience| {
        let found = token.find(&bindings, patience);
        token.release();
        found
    });
    assert_eq!(found.await.unwrap(), Some(0));
    let held = token.worker.hold();
    let binding = binding.to_vec();
    let derived = token.worker.run(PATIENCE, move |token, patience| {
        token.find(std::slice::from_ref(&binding), patience)?;
        token.tries_left(patience)?;
        token.verify_pin(&Pin::copy_from(PIN.as_bytes()), PinPurpose::Derive, patience)?;
        token.derive(&binding, Wanted { unlock: false, guard: true }, patience, &mut || {})
    });
    assert!(derived.await.unwrap().guard.is_some());
    drop(held);
}
