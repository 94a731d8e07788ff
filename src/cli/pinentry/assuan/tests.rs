use super::*;

/// What comes of bytes that arrive in pieces of this size.
fn replies(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = reader.room();
        let count = rest.len().min(piece).min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        reader.filled(count);
        loop {
            match reader.reply() {
                Ok(None) => break,
                Ok(Some(Reply::Done(None))) => found.push("done".to_owned()),
                Ok(Some(Reply::Done(Some(pin)))) => {
                    found.push(pin.with(|bytes| format!("pin {}", String::from_utf8_lossy(bytes))));
                }
                Ok(Some(Reply::Cancelled)) => found.push("cancelled".to_owned()),
                Ok(Some(Reply::Failed(words))) => found.push(format!("failed {words}")),
                Err(Nonsense) => {
                    found.push("nonsense".to_owned());
                    return found;
                }
            }
        }
    }
    found
}

#[test]
fn replies_are_told_apart_however_they_arrive() {
    let all = b"OK Pleased to meet you\r\n# comment\nS TTYINFO x\nD 12%2534\nOK\nD\nOK\nOK\n\
                ERR 83886179 Operation cancelled <Pinentry>\nD 1\nERR 114 no\nOK\nERR 83918950 No tty\nERR 5\n";
    let expected = [
        "done",
        "pin 12%34",
        "pin ",
        "done",
        "cancelled",
        "cancelled",
        "done",
        "failed No tty",
        "failed error 5",
    ];
    for piece in [1, 2, 3, 7, 64, 1000] {
        assert_eq!(replies(all, piece), expected, "in pieces of {piece}");
    }
}

#[test]
fn data_in_several_lines_is_one_pin_and_not_endless() {
    assert_eq!(replies(b"D 12\nD 34\nOK\n", 5), ["pin 1234"]);
    let long = format!("D {}\nOK\n", "1".repeat(LONGEST));
    assert_eq!(replies(long.as_bytes(), 64), [format!("pin {}", "1".repeat(LONGEST))]);
    let longer = format!("D {}\nD 1\nOK\n", "1".repeat(LONGEST));
    assert_eq!(replies(longer.as_bytes(), 64), ["nonsense"]);
}

#[test]
fn nonsense_is_told() {
    for nonsense in [
        &b"\n"[..],
        b"HTTP/1.1 200 OK\n",
        b"ERR\n",
        b"ERR x\n",
        b"D 1%\nOK\n",
        b"D 1%g0\nOK\n",
        b"INQUIRE QUALITY 1\n",
        b"OKAY\n",
        &[b'x'; LINE],
        &[0xff; 5000],
        b"\0\n",
    ] {
        assert_eq!(replies(nonsense, 100), ["nonsense"], "{nonsense:?}");
    }
}

#[test]
fn commands_are_escaped_and_fit_a_line() {
    assert_eq!(command("BYE", ""), "BYE\n");
    assert_eq!(command("SETDESC", "100% of\na\r\x1b[m \u{20ac}"), "SETDESC 100%25 of%0Aa%0D%1B[m \u{20ac}\n");
    for text in ["x", "\u{20ac}", "%", "\n"] {
        let line = command("SETDESC", &text.repeat(1 << 20));
        assert!((LINE - 3..=LINE).contains(&line.len()), "{}", line.len());
        assert_eq!(line.matches('\n').count(), 1);
    }
}
