//! A pull, as far as its first layer: rights, and where layers come from.

use oci::Reference;
use reqwest::header::{HeaderValue, LOCATION};

use super::{ProbeRun, told};
use crate::session::{authorization, basic};
use crate::transport::HttpRequest;
use crate::{Error, RegistryClient, RegistrySession, RepositoryClient};

const ID: &str = "pull";

impl ProbeRun<'_> {
    /// `pull`.
    pub(super) async fn pull(&mut self) {
        let (Some(_), Some(name)) = (&self.base, &self.patient.repository) else {
            return self.not_tested(ID, "name an image to try to pull it: HOST/NAME:TAG");
        };
        let name = name.clone();
        if let Some(why) = self
            .in_the_way()
            .map(|first| format!("see {first} first"))
            .or_else(|| self.withheld())
        {
            return self.not_tested(ID, why);
        }
        let Some(session) = self.session().await else {
            return self.not_tested(ID, "no session came about");
        };
        let repository = RegistryClient::new(session).repository(name);
        match &self.patient.reference {
            Some(reference) => self.pull_image(&repository, reference).await,
            None => match repository.all_tags().await {
                Ok(tags) => self.ok(ID, format!("the repository has {} tags", tags.len())),
                // Before the first push that is as it should be.
                Err(Error::NotFound { .. }) => {
                    self.not_tested(ID, "the repository does not exist yet");
                }
                Err(error) => self.refused(&error),
            },
        }
    }

    /// A session over the way that is open: without a login where that cannot be trusted.
    pub(super) async fn session(&self) -> Option<RegistrySession> {
        let transport = self.looking().clone();
        RegistrySession::begin(transport, self.patient.host.clone(), self.sendable_login())
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
        let papers = self.papers();
        let call = HttpRequest::get(url.clone()).authorization(papers.as_ref());
        let answer = match self.looking().send(&call).await {
            Ok(answer) => answer,
            Err(error) => return self.refused(&error),
        };
        let Some(to) = answer
            .header(LOCATION.as_str())
            .and_then(|to| url.join(to).ok())
        else {
            if let Err(error) = answer.success().await {
                return self.refused(&error);
            }
            return self.ok(
                ID,
                format!(
                    "{reference} is {}, and its layers come from the registry",
                    manifest.digest
                ),
            );
        };
        // As a good client follows, and as one follows that takes its papers along.
        let bare = self
            .looking()
            .send(&HttpRequest::get(to.clone()))
            .await
            .map(|answer| answer.status());
        let status = bare.map_or_else(|error| told(&error), |status| status.to_string());
        let where_to = to.host_str().unwrap_or_default();
        if !status.starts_with('2') {
            return self.fail(
                ID,
                format!("layers come from {where_to}, which answers {status}"),
                "clients must reach the storage that the registry redirects to; storage.redirect.disable: true has the \
                 registry serve layers itself",
            );
        }
        let with = self
            .looking()
            .send(&HttpRequest::get(to.clone()).authorization(papers.as_ref()))
            .await;
        if papers.is_some() && with.is_ok_and(|answer| !answer.status().is_success()) {
            return self.warn(
                ID,
                format!("layers come from {where_to}, which refuses a request that brings the registry's token along"),
                "clients that send Authorization on to other hosts fail there (S3: Only one auth mechanism allowed): \
                 update them, or set storage.redirect.disable: true",
            );
        }
        self.ok(
            ID,
            format!(
                "{reference} is {}, and its layers come from {where_to}",
                manifest.digest
            ),
        );
    }

    /// What opens a repository's layers.
    fn papers(&self) -> Option<HeaderValue> {
        match &self.granted {
            Some(granted) => authorization("Bearer", granted.token.expose()),
            None => basic(&self.sendable_login()),
        }
    }

    fn refused(&mut self, error: &Error) {
        let remedy = match error {
            Error::NotFound { .. } => "there is no such image: check name and tag".to_owned(),
            Error::Denied { .. } if self.has_failed("token-access") => {
                "see token-access".to_owned()
            }
            error => error
                .hint()
                .unwrap_or_else(|| "look at the registry's log".to_owned()),
        };
        self.fail(ID, told(error), remedy);
    }
}
