//! Just enough XML for the Query API's replies: elements and text. Names lose their prefix, attributes are
//! passed over, and what no reply of AWS has (DTDs, own entities, deep nesting) is refused.

use super::Error;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use zeroize::Zeroizing;

const MAX_DEPTH: usize = 16;
const MAX_ELEMENTS: usize = 4096;

/// An element. Its text may be a secret.
pub(super) struct Element {
    name: String,
    text: Zeroizing<String>,
    children: Vec<Element>,
}

impl Element {
    /// Parses a document and returns its root.
    pub(super) fn parse(document: &str) -> Result<Self, Error> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut elements = 0_usize;
        loop {
            // The error would quote what it found, which may be part of a key.
            match reader.read_event().map_err(|_quotes_input| NOT_XML)? {
                Event::Start(start) => {
                    elements = elements.saturating_add(1);
                    if root.is_some() || open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(TOO_MUCH);
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(empty) => {
                    elements = elements.saturating_add(1);
                    if root.is_some() || elements > MAX_ELEMENTS {
                        return Err(TOO_MUCH);
                    }
                    close(Self::named(empty.local_name().as_ref()), &mut open, &mut root);
                }
                Event::End(_) => {
                    let element = open.pop().ok_or(NOT_XML)?;
                    close(element, &mut open, &mut root);
                }
                Event::Text(text) => add_text(&mut open, &text)?,
                Event::GeneralRef(reference) => {
                    let mut utf8 = [0; 4];
                    add_text(&mut open, resolve(&reference)?.encode_utf8(&mut utf8))?;
                }
                Event::Decl(_) | Event::Comment(_) => {}
                Event::CData(_) | Event::PI(_) | Event::DocType(_) => return Err(NOT_OF_AWS),
                Event::Eof => break,
            }
        }
        root.filter(|_| open.is_empty()).ok_or(NOT_XML)
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), text: Zeroizing::new(String::new()), children: Vec::new() }
    }

    /// The name without its prefix.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text directly within, without the white space around it.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }

    /// The one child of that name.
    pub(super) fn child(&self, name: &'static str) -> Result<&Self, Error> {
        let mut named = self.children.iter().filter(|child| child.name == name);
        let child = named.next().ok_or(Error::ReplyLacks(name))?;
        if named.next().is_some() { Err(Error::ReplyForm("it says the same thing twice")) } else { Ok(child) }
    }
}

const NOT_XML: Error = Error::ReplyForm("it is no XML document");
const NOT_OF_AWS: Error =
    Error::ReplyForm("it has document types, entities or other things that AWS never sends");
const TOO_MUCH: Error = Error::ReplyForm("it has too many parts");

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), Error> {
    match open.last_mut() {
        Some(element) => {
            // A string that grows leaves its former contents behind: move them by hand, and wipe.
            let mut joined =
                Zeroizing::new(String::with_capacity(element.text.len().saturating_add(text.len())));
            joined.push_str(&element.text);
            joined.push_str(text);
            element.text = joined;
            Ok(())
        }
        None if text.trim().is_empty() => Ok(()),
        None => Err(NOT_XML),
    }
}

/// The five entities that XML itself has, and characters by number.
fn resolve(reference: &BytesRef<'_>) -> Result<char, Error> {
    Ok(match &**reference {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => reference.resolve_char_ref().ok().flatten().ok_or(NOT_OF_AWS)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_text_are_read() {
        let root = Element::parse(
            "<?xml version=\"1.0\"?>\n<!-- x -->\n<a:R xmlns:a=\"u\" b=\"c\">\n <A> x&amp;y&#x21; </A><B/><C><D>1</D></C></a:R>\n",
        )
        .unwrap();
        assert_eq!(root.name(), "R");
        assert_eq!(root.child("A").unwrap().text(), "x&y!");
        assert_eq!(root.child("B").unwrap().text(), "");
        assert_eq!(root.child("C").unwrap().child("D").unwrap().text(), "1");
        assert_eq!(root.child("E").err(), Some(Error::ReplyLacks("E")));
        assert_eq!(root.text(), "");
    }

    #[test]
    fn what_aws_never_sends_is_refused() {
        for document in [
            "",
            "text",
            "<a>",
            "</a>",
            "<a></b>",
            "<a><b></a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a>&own;</a>",
            "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "<a><![CDATA[x]]></a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a><?php ?></a>",
        ] {
            assert!(Element::parse(document).is_err(), "{document}");
        }
        assert!(Element::parse(&"<a>".repeat(17)).is_err());
        let depth = |n: usize| ["<a>".repeat(n), "</a>".repeat(n)].concat();
        assert!(Element::parse(&depth(16)).is_ok());
        assert_eq!(Element::parse(&depth(17)).err(), Some(TOO_MUCH));
        let flat = |n: usize| format!("<r>{}</r>", "<a/>".repeat(n));
        assert!(Element::parse(&flat(MAX_ELEMENTS - 1)).is_ok());
        assert_eq!(Element::parse(&flat(MAX_ELEMENTS)).err(), Some(TOO_MUCH));
        let twice = Element::parse("<r><a/><a/></r>").unwrap();
        assert!(twice.child("a").is_err());
    }
}
