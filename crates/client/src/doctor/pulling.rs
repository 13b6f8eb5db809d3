//! A pull up to its first layer: the rights, and the server that sends layers.

use common::{is_same_or_subdomain, with_causes};
use oci::Reference;
use reqwest::header::{HeaderValue, LOCATION};

use super::ProbeRun;
use crate::session::{authorization_header, basic};
use crate::transport::ClientRequest;
use crate::{Error, RegistryClient, RegistrySession, RepositoryClient};

const ID: &str = "pull";

impl ProbeRun<'_> {
    /// `pull`.
    pub(super) async fn pull(&mut self) {
        let (Some(_), Some(name)) = (&self.base, &self.target.repository) else {
            return self.not_tested(ID, "no image was named; HOST/NAME:TAG tries a pull");
        };
        let name = name.clone();
        if let Some(why) = self
            .blocked_by()
            .map(|first| format!("see {first} first"))
            .or_else(|| self.withheld())
        {
            return self.not_tested(ID, why);
        }
        let Some(session) = self.session().await else {
            return self.not_tested(ID, "the session cannot be started");
        };
        let repository = RegistryClient::new(session).repository(name);
        match &self.target.reference {
            Some(reference) => self.pull_image(&repository, reference).await,
            None => match repository.all_tags().await {
                Ok(tags) => self.ok(
                    ID,
                    match tags.len() {
                        1 => "the repository has 1 tag".to_owned(),
                        tags => format!("the repository has {tags} tags"),
                    },
                ),
                // That is normal before the first push.
                Err(Error::NotFound { .. }) => {
                    self.not_tested(ID, "the repository does not exist yet");
                }
                Err(error) => self.refused(&error),
            },
        }
    }

    /// A session, without the login if that may not be sent.
    pub(super) async fn session(&self) -> Option<RegistrySession> {
        let transport = self.open_transport().clone();
        RegistrySession::begin(transport, self.target.host.clone(), self.sendable_login())
            .await
            .ok()
    }

    async fn pull_image(&mut self, repository: &RepositoryClient, reference: &Reference) {
        let manifest = match repository.manifest(reference).await {
            Ok(manifest) => manifest,
            Err(error) => return self.refused(&error),
        };
        let parsed = manifest.parsed();
        let blob = parsed
            .ok()
            .and_then(|parsed| parsed.blobs().last().map(|blob| blob.digest));
        let Some(blob) = blob else {
            return self.ok(ID, format!("{reference} is {}", manifest.digest));
        };
        let path = format!("{}/blobs/{blob}", repository.name());
        let Ok(url) = repository.session().url(&path) else {
            return;
        };
        let authorization = self.authorization();
        let request = ClientRequest::get(url.clone()).authorization(authorization.as_ref());
        let response = match self.open_transport().send(&request).await {
            Ok(response) => response,
            Err(error) => return self.refused(&error),
        };
        let Some(to) = response
            .header(LOCATION.as_str())
            .and_then(|to| url.join(to).ok())
        else {
            if let Err(error) = response.success().await {
                return self.refused(&error);
            }
            return self.ok(
                ID,
                format!(
                    "{reference} is {}; the registry itself sends its layers",
                    manifest.digest
                ),
            );
        };
        // A client that follows the rules sends no Authorization header to another host; some do.
        let bare = self
            .open_transport()
            .send(&ClientRequest::get(to.clone()))
            .await
            .map(|response| response.status());
        let status = bare.map_or_else(|error| with_causes(&error), |status| status.to_string());
        let where_to = to.host_str().unwrap_or_default();
        if !status.starts_with('2') {
            return self.fail(
                ID,
                format!("the registry redirects layers to {where_to}, which responds {status}"),
                format!("make {where_to} reachable for clients, or set storage.redirect.disable: true, so that the \
                 registry sends layers itself"),
            );
        }
        // A false token shows it as well as the real one, which no other host may see.
        let false_token = authorization_header("Bearer", "false");
        let request = ClientRequest::get(to.clone()).authorization(false_token.as_ref());
        let with = self.open_transport().send(&request).await;
        if authorization.is_some() && with.is_ok_and(|response| !response.status().is_success()) {
            let registry = url.host_str().unwrap_or_default();
            if is_same_or_subdomain(where_to, registry) {
                return self.fail(
                    ID,
                    format!("the registry redirects layers to {where_to}, which rejects requests with an Authorization \
                     header. docker, containerd and other clients in Go send the token of {registry} there"),
                    format!("give the store a name that does not end with {registry}, or set \
                     storage.redirect.disable: true, so that the registry sends layers itself"),
                );
            }
            return self.warn(
                ID,
                format!("the registry redirects layers to {where_to}, which rejects requests with an Authorization header"),
                "clients that send the header to other hosts fail there (S3: Only one auth mechanism allowed): \
                 update them, or set storage.redirect.disable: true",
            );
        }
        self.ok(
            ID,
            format!(
                "{reference} is {}; {where_to} sends its layers",
                manifest.digest
            ),
        );
    }

    /// The `Authorization` header for the repository's layers.
    fn authorization(&self) -> Option<HeaderValue> {
        match &self.granted {
            Some(granted) => authorization_header("Bearer", granted.token.expose()),
            None => basic(&self.sendable_login()),
        }
    }

    fn refused(&mut self, error: &Error) {
        let remedy = match error {
            Error::NotFound { .. } => "check the name and the tag of the image".to_owned(),
            Error::Denied { .. } if self.has_failed("token-access") => {
                "see token-access".to_owned()
            }
            error => error
                .hint()
                .unwrap_or_else(|| "look at the registry's log".to_owned()),
        };
        self.fail(ID, with_causes(error), remedy);
    }
}
