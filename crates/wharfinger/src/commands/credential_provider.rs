//! `wharfinger credential-provider`: the kubelet's plugin for pulls with the token of a pod.
//!
//! The kubelet starts the program for each pull, writes a request to its standard input, and reads the
//! answer from its standard output (`credentialprovider.kubelet.k8s.io/v1`). With KEP-4412, the request
//! has a token of the pod's service account for this registry. The token itself is the password, so
//! the plugin asks no server and keeps nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use common::{Clock, SystemClock, escape_json, unix_seconds};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use token::UnverifiedToken;

use crate::failure::Failure;
use crate::{files, output};

/// The version of the kubelet's requests and answers.
const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";
/// How long before its end a token is no longer used, in seconds: a pull takes a while.
const MARGIN: u64 = 60;
/// The user name beside a token. The server does not look at it.
const USER: &str = "kubernetes";

/// Answer a kubelet's request for credentials (on standard input) with the token of the pod
///
/// The kubelet's configuration names this program as a credential provider, and says for which images
/// and with which audience: see deploy/kubernetes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A file with a token for pulls whose request has none, such as the node's own.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialProviderRequest {
    api_version: String,
    kind: String,
    image: String,
    #[serde(default)]
    service_account_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialProviderResponse {
    api_version: &'static str,
    kind: &'static str,
    cache_key_type: &'static str,
    cache_duration: String,
    auth: Option<BTreeMap<String, AuthConfig>>,
}

#[derive(Serialize)]
struct AuthConfig {
    username: &'static str,
    password: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let text = files::read_standard_input()?;
    let request: CredentialProviderRequest = serde_json::from_str(&text).map_err(|error| {
        Failure::usage("standard input has no CredentialProviderRequest").caused_by(&error)
    })?;
    if request.api_version != API_VERSION || request.kind != "CredentialProviderRequest" {
        return Err(Failure::usage(format!(
            "the request is a {} of {}",
            request.kind, request.api_version
        ))
        .hint(format!(
            "write apiVersion: {API_VERSION} for this provider in the kubelet's configuration"
        )));
    }
    let image: ImageName = request.image.parse().map_err(|error| {
        Failure::usage(format!("{:?} is not an image", request.image)).caused_by(&error)
    })?;
    let token = match (
        request.service_account_token.as_str(),
        &arguments.token_file,
    ) {
        ("", Some(file)) => files::read(file)?.trim().to_owned(),
        (token, _) => token.to_owned(),
    };
    let response = CredentialProviderResponse::new(&image, token);
    let json = serde_json::to_string(&response)
        .map_err(|error| Failure::system("no JSON").caused_by(&error))?;
    output::print(&escape_json(&format!("{json}\n")))?;
    Ok(ExitCode::SUCCESS)
}

impl CredentialProviderResponse {
    /// The token as the password for the registry of `image`. Without a token, the pull goes on without
    /// a login.
    fn new(image: &ImageName, token: String) -> Self {
        let cache_duration = format!("{}s", usable_seconds(&token));
        let login = (!token.is_empty()).then_some(AuthConfig {
            username: USER,
            password: token,
        });
        Self {
            api_version: API_VERSION,
            kind: "CredentialProviderResponse",
            cache_key_type: "Registry",
            cache_duration,
            auth: login.map(|login| BTreeMap::from([(image.host.to_string(), login)])),
        }
    }
}

/// How long a token can be used from now on. The kubelet asks again after that.
fn usable_seconds(token: &str) -> u64 {
    let parsed = UnverifiedToken::parse(token).ok();
    let claims = parsed.and_then(|token| serde_json::from_str::<Value>(token.claims_json()).ok());
    let end = claims.and_then(|claims| claims.get("exp")?.as_u64());
    let now = unix_seconds(SystemClock.now());
    end.map_or(0, |end| end.saturating_sub(now + MARGIN))
}
