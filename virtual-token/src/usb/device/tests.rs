use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::usb::{descriptor::PACKET, keyboard::Order};

/// The kernel's side of a device, and the sides of its interfaces.
struct Bench {
    host: UnixStream,
    keyboard: keyboard::Pipes,
    hid: Wire,
    card: reader::Pipes,
    plug: Option<watch::Sender<()>>,
    served: tokio::task::JoinHandle<Ended>,
}

fn bench() -> Bench {
    let (host, kernel) = UnixStream::pair().unwrap();
    let (plug, plugged) = watch::channel(());
    let device = Device { kernel, descriptors: Descriptors::new("name", 7) };
    let status = watch::Sender::new(Some([5, 4, 3, 7, 2, 0]));
    let (Interfaces { keyboard, hid, card }, service) = device.open(status.subscribe(), plugged).unwrap();
    Bench { host, keyboard, hid, card, plug: Some(plug), served: tokio::spawn(service) }
}

const OUT: u32 = 0;
const IN: u32 = 1;

impl Bench {
    async fn submit(&mut self, sequence: u32, direction: u32, endpoint: u8, length: usize, more: &[u8]) {
        let numbers =
            [1, sequence, 0x1_0002, direction, endpoint.into(), 0, u32::try_from(length).unwrap(), 0, 0, 0];
        let mut message = numbers.map(u32::to_be_bytes).concat();
        if endpoint == 0 {
            message.extend(more);
        } else {
            message.extend([&[0; 8], more].concat());
        }
        self.host.write_all(&message).await.unwrap();
    }

    /// A report, over endpoint zero.
    async fn fetch(&mut self, setup: [u8; 8]) -> Vec<u8> {
        self.submit(99, IN, 0, 8, &setup).await;
        self.answer(IN).await.4
    }

    /// A control transfer with data for the device.
    async fn tell(&mut self, sequence: u32, setup: [u8; 8], data: &[u8]) {
        self.submit(sequence, OUT, 0, data.len(), &[&setup, data].concat()).await;
    }

    async fn unlink(&mut self, sequence: u32, victim: u32) {
        let mut message = [2, sequence, 0x1_0002, 0, 0, victim].map(u32::to_be_bytes).concat();
        message.resize(HEADER_SIZE, 0);
        self.host.write_all(&message).await.unwrap();
    }

    /// Kind, sequence, status, and the length with as much data as an IN transfer brings.
    async fn answer(&mut self, direction: u32) -> (u32, u32, i32, usize, Vec<u8>) {
        let mut header = [0; HEADER_SIZE];
        self.host.read_exact(&mut header).await.unwrap();
        let number = |index: usize| u32::from_be_bytes(header.as_chunks().0[index]);
        let length = number(6) as usize;
        let mut data = vec![0; if direction == IN { length } else { 0 }];
        self.host.read_exact(&mut data).await.unwrap();
        (number(0), number(1), number(5).cast_signed(), length, data)
    }
}

#[tokio::test]
async fn endpoint_zero_answers_as_much_as_is_asked_for_and_refuses_what_it_has_not() {
    let mut bench = bench();
    bench.submit(1, IN, 0, 8, &[0x80, 6, 0, 1, 0, 0, 8, 0]).await;
    assert_eq!(bench.answer(IN).await, (3, 1, 0, 8, vec![18, 1, 0, 2, 0, 0, 0, 64]));
    bench.submit(2, OUT, 0, 0, &[0, 9, 1, 0, 0, 0, 0, 0]).await;
    assert_eq!(bench.answer(OUT).await, (3, 2, 0, 0, vec![]));
    bench.submit(3, IN, 0, 10, &[0x80, 6, 0, 6, 0, 0, 10, 0]).await;
    assert_eq!(bench.answer(IN).await, (3, 3, -32, 0, vec![]));
    bench.submit(4, IN, 9, 10, &[]).await;
    assert_eq!(bench.answer(IN).await, (3, 4, -32, 0, vec![]));
}

#[tokio::test]
async fn frames_pass_through_the_keyboards_feature_report() {
    const SET: [u8; 8] = [0x21, 9, 0, 3, 0, 0, 8, 0];
    const GET: [u8; 8] = [0xA1, 1, 0, 3, 0, 0, 8, 0];
    let mut bench = bench();
    // A frame of zeros: its first and its last part.
    bench.tell(1, SET, &[0, 0, 0, 0, 0, 0, 0, 0x80]).await;
    assert_eq!(bench.answer(OUT).await, (3, 1, 0, 8, vec![]));
    bench.tell(2, SET, &[0, 0x10, 0x6B, 0x5B, 0, 0, 0, 0x89]).await;
    assert_eq!(bench.answer(OUT).await, (3, 2, 0, 8, vec![]));
    let Some(Order::Command(frame)) = bench.keyboard.orders.recv().await else { panic!() };
    assert_eq!((frame.command, frame.payload), (0x10, [0; 64]));
    bench.submit(3, IN, 0, 8, &GET).await;
    assert_eq!(bench.answer(IN).await, (3, 3, 0, 8, vec![0, 5, 4, 3, 7, 2, 0, 0x80]));
    bench.keyboard.news.send(News::Done(vec![1, 2])).unwrap();
    // Once it is heard, the answer is there.
    let mut answer = bench.fetch(GET).await;
    while answer[7] == 0x80 {
        answer = bench.fetch(GET).await;
    }
    assert_eq!(answer, [1, 2, 0, 0, 0, 0, 0, 0x40]);
}

#[tokio::test]
async fn a_keyboard_types_nothing_and_takes_no_report_that_is_not_its_own() {
    let mut bench = bench();
    assert_eq!(bench.fetch([0xA1, 1, 0, 1, 0, 0, 8, 0]).await, [0; 8]);
    // The lights.
    bench.tell(1, [0x21, 9, 0, 2, 0, 0, 1, 0], &[7]).await;
    assert_eq!(bench.answer(OUT).await, (3, 1, 0, 1, vec![]));
    // A feature report of another length, and one of the interface that has none.
    bench.tell(2, [0x21, 9, 0, 3, 0, 0, 7, 0], &[0; 7]).await;
    assert_eq!(bench.answer(OUT).await, (3, 2, -32, 0, vec![]));
    bench.tell(3, [0x21, 9, 0, 3, 1, 0, 8, 0], &[0; 8]).await;
    assert_eq!(bench.answer(OUT).await, (3, 3, -32, 0, vec![]));
    // Its endpoint keeps the host waiting, and its being closed is not FIDO's.
    bench.submit(4, IN, KEYBOARD_ENDPOINT, 8, &[]).await;
    bench.unlink(5, 4).await;
    assert_eq!(bench.answer(OUT).await, (4, 5, -104, 0, vec![]));
    bench.submit(6, OUT, HID_ENDPOINT, PACKET, &[7; PACKET]).await;
    assert_eq!(bench.hid.receive().await.unwrap(), Arrival::Report([7; PACKET]));
}

#[tokio::test]
async fn reports_pass_both_ways_while_the_device_is_open() {
    let mut bench = bench();
    bench.submit(1, OUT, HID_ENDPOINT, PACKET, &[7; PACKET]).await;
    assert_eq!(bench.answer(OUT).await, (3, 1, 0, PACKET, vec![]));
    assert_eq!(bench.hid.receive().await.unwrap(), Arrival::Report([7; PACKET]));
    bench.submit(2, OUT, HID_ENDPOINT, 3, &[7; 3]).await;
    assert_eq!(bench.answer(OUT).await, (3, 2, -32, 0, vec![]));

    bench.submit(3, IN, HID_ENDPOINT, PACKET, &[]).await;
    // Endpoint zero answers in between: so what was asked before has arrived.
    bench.submit(4, IN, 0, 2, &[0x80, 0, 0, 0, 0, 0, 2, 0]).await;
    assert_eq!(bench.answer(IN).await, (3, 4, 0, 2, vec![0, 0]));
    bench.hid.send(&[8; PACKET]).await.unwrap();
    assert_eq!(bench.answer(IN).await, (3, 3, 0, PACKET, vec![8; PACKET]));

    bench.submit(5, IN, HID_ENDPOINT, PACKET, &[]).await;
    bench.unlink(6, 5).await;
    assert_eq!(bench.answer(OUT).await, (4, 6, -104, 0, vec![]));
    assert_eq!(bench.hid.receive().await.unwrap(), Arrival::NobodyListens);
    bench.unlink(7, 5).await;
    assert_eq!(bench.answer(OUT).await, (4, 7, 0, 0, vec![]));
}

#[tokio::test]
async fn card_messages_pass_whole_and_in_pieces() {
    let mut bench = bench();
    bench.submit(1, OUT, CARD_ENDPOINT, 3, &[1, 2, 3]).await;
    assert_eq!(bench.answer(OUT).await, (3, 1, 0, 3, vec![]));
    assert_eq!(bench.card.arrivals.recv().await.unwrap(), [1, 2, 3]);
    bench.card.answers.send(vec![4; 100]).unwrap();
    bench.submit(2, IN, CARD_ENDPOINT, PACKET, &[]).await;
    assert_eq!(bench.answer(IN).await, (3, 2, 0, PACKET, vec![4; PACKET]));
    bench.submit(3, IN, CARD_ENDPOINT, PACKET, &[]).await;
    assert_eq!(bench.answer(IN).await, (3, 3, 0, 36, vec![4; 36]));
    // A transfer that is taken back says nothing about the HID device.
    bench.submit(4, IN, CARD_ENDPOINT, PACKET, &[]).await;
    bench.unlink(5, 4).await;
    assert_eq!(bench.answer(OUT).await, (4, 5, -104, 0, vec![]));
    bench.submit(6, OUT, HID_ENDPOINT, PACKET, &[7; PACKET]).await;
    assert_eq!(bench.hid.receive().await.unwrap(), Arrival::Report([7; PACKET]));
}

#[tokio::test]
async fn pulled_out_it_closes_the_wire_and_detached_it_vanishes() {
    let mut pulled = bench();
    drop(pulled.plug.take());
    assert_eq!(pulled.served.await.unwrap().ending, Ending::Gone);
    assert_eq!(pulled.host.read(&mut [0]).await.unwrap(), 0);

    let detached = bench();
    drop(detached.host);
    assert_eq!(detached.served.await.unwrap().ending, Ending::Vanished);

    let mut confused = bench();
    confused.host.write_all(&[0xFF; HEADER_SIZE]).await.unwrap();
    assert_eq!(confused.served.await.unwrap().ending, Ending::Vanished);
}
