//! The requests that can be signed: this registry is the allow-list. A further one is a file beside this
//! one and a line in the call of `registry!`.

mod form;

pub(super) use form::Form;

macro_rules! registry {
    ($($(#[$doc:meta])* $module:ident::$kind:ident),+ $(,)?) => {
        $(mod $module;)+

        /// A request of AWS's Query API.
        pub enum Request {
            $($(#[$doc])* $kind($kind),)+
        }

        impl Request {
            /// The name of the action, as AWS and the prompts call it.
            pub const fn action(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $kind::ACTION,)+
                }
            }

            /// The service that it is signed for.
            pub const fn service(&self) -> Service {
                match self {
                    $(Self::$kind(_) => $kind::SERVICE,)+
                }
            }

            /// The body, form-encoded.
            pub(super) fn form(&self) -> Form {
                match self {
                    $(Self::$kind(request) => {
                        let mut form = Form::new($kind::ACTION, $kind::VERSION);
                        request.write(&mut form);
                        form
                    })+
                }
            }
        }
    };
}

registry! {
    /// STS `GetSessionToken`: a session of the signing key's own identity, with MFA.
    get_session_token::GetSessionToken,
}

pub use get_session_token::{GetSessionToken, Principal, SessionDuration};

/// A service that requests of the registry go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The Security Token Service.
    Sts,
}

impl Service {
    /// The name in a credential scope.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
        }
    }
}

/// What each kind of request says of itself.
trait Query {
    const ACTION: &'static str;
    const VERSION: &'static str;
    const SERVICE: Service;

    /// Writes the parameters after `Action` and `Version`.
    fn write(&self, form: &mut Form);
}
