//! The floor of `rootseal credentials`: an otherwise empty zbus program, built like ours, that makes one method
//! call. `floor_client ADDRESS [NAME]`: without a name on the bus, ADDRESS is a private socket.

use std::alloc::System;
use zbus::connection::Builder;
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("floor_client ADDRESS [NAME]")?;
    let name = args.next();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let builder = Builder::address(address.as_str());
        let builder = if name.is_some() { builder } else { builder.p2p() };
        let connection = builder.build().await?;
        connection.call_method(name.as_deref(), "/floor", Some("org.rootseal.Floor"), "Empty", &()).await?;
        Ok(())
    })
}
