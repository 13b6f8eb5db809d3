//! What the requests of a service are counted as in the metrics.

use registry::RegistryEndpoint;

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MeasuredHandler {
    /// An endpoint of the registry.
    Registry(RegistryEndpoint),
    /// The token server.
    Token,
    /// The sign-in pages.
    SignIn,
    /// The API.
    Api,
}

impl MeasuredHandler {
    /// Its name in metrics and traces.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registry(endpoint) => {
                let name = RegistryEndpoint::NAMES.get(endpoint.place());
                name.copied().unwrap_or_default()
            }
            Self::Token => "token",
            Self::SignIn => "sign_in",
            Self::Api => "api",
        }
    }
}
