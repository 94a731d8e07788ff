//! The floor of `rootseald`: an otherwise empty zbus program, built like ours. One method does nothing; another writes
//! as much as a session into a descriptor.
//! `floor_server bus|listen ADDRESS READY_FD`

use std::alloc::System;
use tokio::net::UnixListener;
use zbus::connection::Builder;
use zbus::{Fd, Guid, fdo, interface};
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

type Outcome = Result<(), Box<dyn std::error::Error>>;

struct Floor;

#[interface(name = "org.rootseal.Floor")]
impl Floor {
    #[expect(clippy::unused_self, reason = "zbus asks for it")]
    fn empty(&self) {}

    #[expect(clippy::unused_self, reason = "zbus asks for it")]
    fn fill(&self, out: Fd<'_>) -> fdo::Result<()> {
        let written = rustix::io::write(&out, &[b'x'; 832]);
        written.map(drop).map_err(|errno| fdo::Error::Failed(errno.to_string()))
    }
}

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, address, ready] = args.as_slice() else {
        return Err("floor_server bus|listen ADDRESS READY_FD".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if kind == "bus" {
            let builder = Builder::address(address.as_str()).serve_at("/floor", Floor);
            let _connection = builder.name("org.rootseal.Floor").build().await?;
            std::fs::write(format!("/proc/self/fd/{ready}"), "READY=1\n")?;
            std::future::pending().await
        } else {
            let listener = UnixListener::bind(address.strip_prefix("unix:path=").ok_or("unix:path=")?)?;
            std::fs::write(format!("/proc/self/fd/{ready}"), "READY=1\n")?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(greet(stream.into_std()?));
            }
        }
    })
}

async fn greet(stream: std::os::unix::net::UnixStream) {
    let builder = Builder::unix_stream(stream).server(Guid::generate()).p2p().serve_at("/floor", Floor);
    if let Ok(connection) = builder.build().await {
        connection.closed().await;
    }
}
