//! Where a vault's bytes are kept. Opaque bytes only: no format, no key, nothing of the other rooms.
