//! What the applications are served by besides Trussed's core: the table of backends and extensions.

use trussed::{
    Platform,
    backend::{Backend as _, BackendId},
    serde_extensions::{ExtensionDispatch, ExtensionId},
    service::ServiceResources,
    types::Context,
};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::{
    Error,
    api::{Reply, Request, reply, request},
    types::Location,
};
use trussed_fs_info::FsInfoExtension;
use trussed_hkdf::HkdfExtension;
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

/// The backends beside the core.
#[derive(Clone, Copy, Debug)]
pub enum Backend {
    /// Extensions of the framework's makers.
    Staging,
    /// PINs.
    Auth,
    /// RSA keys.
    Rsa,
}

/// What the FIDO application is served by.
pub const FIDO: &[BackendId<Backend>] = &[BackendId::Custom(Backend::Staging), BackendId::Core];

/// What the PIV application is served by.
pub const PIV: &[BackendId<Backend>] = &[
    BackendId::Custom(Backend::Rsa),
    BackendId::Custom(Backend::Auth),
    BackendId::Custom(Backend::Staging),
    BackendId::Core,
];

/// What a backend remembers of one application.
#[derive(Default)]
pub struct Memory {
    staging: StagingContext,
    auth: AuthContext,
}

/// The table.
pub struct Services {
    staging: StagingBackend,
    auth: AuthBackend,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            staging: StagingBackend::new(),
            auth: AuthBackend::new(Location::Internal, FilesystemLayout::V1),
        }
    }
}

macro_rules! extensions {
    ($($name:ident $extension:ident $number:literal $backend:ident)+) => {
        /// The extensions.
        #[derive(Clone, Copy, Debug)]
        pub enum Extension {
            $(#[doc = concat!("`", stringify!($extension), "`.")] $name,)+
        }

        impl From<Extension> for u8 {
            fn from(extension: Extension) -> Self {
                match extension {
                    $(Extension::$name => $number,)+
                }
            }
        }

        impl TryFrom<u8> for Extension {
            type Error = Error;

            fn try_from(number: u8) -> Result<Self, Error> {
                match number {
                    $($number => Ok(Self::$name),)+
                    _ => Err(Error::FunctionNotSupported),
                }
            }
        }

        $(
            impl ExtensionId<$extension> for Services {
                type Id = Extension;
                const ID: Extension = Extension::$name;
            }
        )+

        impl Services {
            fn extension<P: Platform>(
                &mut self,
                backend: Backend,
                extension: Extension,
                context: &mut Context<Memory>,
                request: &request::SerdeExtension,
                resources: &mut ServiceResources<P>,
            ) -> Result<reply::SerdeExtension, Error> {
                match (backend, extension) {
                    $((extensions!(@kind $backend), Extension::$name) => {
                        trussed::serde_extensions::ExtensionImpl::<$extension>::extension_request_serialized(
                            &mut self.$backend,
                            &mut context.core,
                            &mut context.backends.$backend,
                            request,
                            resources,
                        )
                    })+
                    _ => Err(Error::RequestNotAvailable),
                }
            }
        }
    };
    (@kind staging) => { Backend::Staging };
    (@kind auth) => { Backend::Auth };
}

extensions! {
    Chunked ChunkedExtension 0 staging
    Hkdf HkdfExtension 1 staging
    WrapKeyToFile WrapKeyToFileExtension 2 staging
    FsInfo FsInfoExtension 3 staging
    Hpke HpkeExtension 4 staging
    Auth AuthExtension 5 auth
}

impl ExtensionDispatch for Services {
    type BackendId = Backend;
    type Context = Memory;
    type ExtensionId = Extension;

    fn core_request<P: Platform>(
        &mut self,
        backend: &Backend,
        context: &mut Context<Memory>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let Context { core, backends, .. } = context;
        match backend {
            Backend::Staging => self.staging.request(core, &mut backends.staging, request, resources),
            Backend::Auth => self.auth.request(core, &mut backends.auth, request, resources),
            Backend::Rsa => SoftwareRsa.request(core, &mut (), request, resources),
        }
    }

    fn extension_request<P: Platform>(
        &mut self,
        backend: &Backend,
        extension: &Extension,
        context: &mut Context<Memory>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        self.extension(*backend, *extension, context, request, resources)
    }
}
