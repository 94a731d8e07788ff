//! `org.rootseal.Token1`

use crate::service::TokenInfo;
use zbus::interface;

pub(super) struct Token(pub(super) TokenInfo);

#[interface(name = "org.rootseal.Token1")]
impl Token {
    #[zbus(property)]
    fn kind(&self) -> &str {
        &self.0.kind
    }

    #[zbus(property)]
    fn label(&self) -> &str {
        &self.0.label
    }

    #[zbus(property)]
    fn serial(&self) -> &str {
        &self.0.serial
    }

    #[zbus(property, name = "Virtual")]
    fn is_virtual(&self) -> bool {
        self.0.is_virtual
    }

    #[zbus(property)]
    fn enrolled(&self) -> bool {
        self.0.keyslot.is_some()
    }

    #[zbus(property)]
    fn needs_pin(&self) -> bool {
        self.0.needs_pin
    }
}
