use super::super::Touch;
use super::look::{by_serial, describe};
use super::*;

/// A token at a place where nothing is plugged in, which has said this of itself.
fn present(place: &Place, serial: &str) -> Present {
    let (last, silent) = Default::default();
    let token: Box<dyn Token> = Box::new(FidoToken::at_socket("/nonexistent".into()));
    let worker = Worker::start(token).unwrap();
    let known = Known {
        seat: String::new(),
        product: "token".to_owned(),
        serial: String::new(),
        is_virtual: true,
        worker,
        last,
        silent,
    };
    let serial = Some(serial.to_owned()).filter(|serial| !serial.is_empty());
    describe(place, known, Traits { needs_pin: true, touch: Touch::Always, serial })
}

fn card(reader: &str, kind: Kind) -> Place {
    Place::Card(reader.to_owned(), kind)
}

fn ids(present: Vec<Present>) -> Vec<String> {
    by_serial(present).into_iter().map(|token| token.id).collect()
}

#[test]
fn a_serial_number_names_a_token_in_whatever_place() {
    let here = ids(vec![present(&card("A 00 00", Kind::Piv), "4711")]);
    let there = ids(vec![present(&card("B 01 00", Kind::Piv), "4711")]);
    assert_eq!(here, there);
    assert_ne!(here, ids(vec![present(&card("A 00 00", Kind::Piv), "4712")]));
    let fit = |id: &String| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    assert!(here.iter().all(fit) && here.iter().all(|id| id.starts_with("piv_")), "{here:?}");
}

#[test]
fn without_one_the_place_names_it() {
    let [here, there] = ["/dev/hidraw0", "/dev/hidraw1"].map(|path| Place::Hidraw(path.into()));
    assert_ne!(ids(vec![present(&here, "")]), ids(vec![present(&there, "")]));
    assert_eq!(ids(vec![present(&here, "")]), ids(vec![present(&here, ""), present(&there, "")])[..1]);
}

#[test]
fn of_two_that_claim_one_number_none_has_the_name_that_it_would_give() {
    let places = ["A 00 00", "A 01 00"].map(|reader| card(reader, Kind::Piv));
    let alone = ids(vec![present(&places[0], "4711")]);
    let both = ids(places.iter().map(|place| present(place, "4711")).collect());
    assert_ne!(both[0], both[1]);
    assert!(!both.contains(&alone[0]));
}

/// One device is several tokens, with one number.
#[test]
fn tokens_of_different_kinds_share_a_number() {
    let places = [Kind::Piv, Kind::OtpHmac].map(|kind| card("A 00 00", kind));
    let both = ids(places.iter().map(|place| present(place, "4711")).collect());
    assert_eq!(both[0], ids(vec![present(&places[0], "4711")])[0]);
    assert_ne!(both[0], both[1]);
}

#[tokio::test]
async fn a_socket_that_is_not_there_and_a_pcscd_that_is_not_are_told() {
    let missing = PathBuf::from("/nonexistent/token.sock");
    let mut registry = Registry::new(vec![missing.clone()], true);
    let look = registry.look(Err(ReaderError::NotRunning));
    let (_, troubles) = look.present(Patient::No).await;
    let reasons: Vec<_> = troubles.iter().map(|trouble| trouble.reason.code()).collect();
    assert!(reasons.contains(&"pcscd_not_running") && reasons.contains(&"socket_missing"), "{reasons:?}");
    assert!(troubles.iter().any(|trouble| trouble.place == missing.display().to_string()));
}
