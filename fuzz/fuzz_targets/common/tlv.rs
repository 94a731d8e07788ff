//! What the fuzz target does with an input; `tests/corpus_piv.rs` does the same with the corpus.

use rootseal::piv::tlv::{Reader, build};

/// How many elements there are until the end or the first that is broken. What is written of one reads the same.
pub(crate) fn run(data: &[u8]) -> usize {
    let mut reader = Reader::new(data);
    let mut elements: usize = 0;
    while let Ok(element) = reader.element() {
        if let Ok(bytes) = build(element.tag, &[element.value]) {
            assert_eq!(Reader::new(&bytes).element(), Ok(element));
        }
        elements = elements.saturating_add(1);
    }
    elements
}
