//! GitHub and GitHub Enterprise: `github_auth`.

use std::collections::BTreeSet;

use common::{BoxFuture, Secret};
use http::StatusCode;
use http::header::LINK;
use openid::ProviderResponse;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::Labels;
use serde::Deserialize;

use super::user_api::{ProviderRequest, UserApi, UserApiClient, UserApiProvider, subject};
use super::{ProviderError, ProviderUser, SignInRefusal};

/// The most pages of teams that are read, of 100 teams each.
const MAX_PAGES: usize = 50;

/// What the configuration says of GitHub.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// The address of its pages, without a slash at the end.
    pub web: String,
    /// The address of its API, without a slash at the end.
    pub api: String,
    /// Who this server is there.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: Secret,
    /// The organization whose members sign in, and whose teams become labels.
    pub organization: Option<String>,
}

/// GitHub.
pub type GithubProvider = UserApiProvider<GithubSettings>;

#[derive(Deserialize)]
struct GithubUser {
    #[serde(default)]
    login: String,
    #[serde(default)]
    id: u64,
}

#[derive(Deserialize)]
struct Team {
    slug: String,
    organization: Option<Organization>,
    parent: Option<ParentTeam>,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

#[derive(Deserialize)]
struct ParentTeam {
    slug: String,
}

impl GithubSettings {
    async fn identified(&self, api: &UserApiClient<'_>) -> Result<ProviderUser, ProviderError> {
        let user: GithubUser = api.get(&format!("{}/user", self.api)).await?.json()?;
        if user.login.is_empty() {
            return Err(SignInRefusal::NoName("login".to_owned()).into());
        }
        let labels = match &self.organization {
            Some(organization) => {
                self.check_membership(organization, &user.login, api)
                    .await?;
                self.teams(organization, api).await?
            }
            None => Some(Labels::new()),
        };
        Ok(ProviderUser {
            name: user.login,
            issuer: self.web.clone(),
            subject: subject(user.id),
            labels,
        })
    }

    /// 204 for a member, 404 for another user, and 302 if the asking user, who is the same, is none.
    async fn check_membership(
        &self,
        organization: &str,
        login: &str,
        api: &UserApiClient<'_>,
    ) -> Result<(), ProviderError> {
        let [organization_part, login_part] =
            [organization, login].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        let address = format!("{}/orgs/{organization_part}/members/{login_part}", self.api);
        let response = api.get(&address).await?;
        match response.status {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::FOUND => Err(SignInRefusal::NotAMember {
                name: login.to_owned(),
                organization: organization.to_owned(),
            }
            .into()),
            _ => Err(response.unexpected().into()),
        }
    }

    /// The label `teams`: slugs of the user's teams in the organization, and of their parents.
    /// `None` if GitHub cannot tell now.
    async fn teams(
        &self,
        organization: &str,
        api: &UserApiClient<'_>,
    ) -> Result<Option<Labels>, ProviderError> {
        let mut slugs = BTreeSet::new();
        let mut next = Some(format!("{}/user/teams?per_page=100", self.api));
        for _ in 0..MAX_PAGES {
            let Some(address) = next else { break };
            let response = match api.get(&address).await {
                Err(ProviderError::Unavailable { what, .. }) => {
                    tracing::warn!(what, "the teams of an account cannot be fetched");
                    return Ok(None);
                }
                response => response?,
            };
            let is_forbidden = matches!(
                response.status,
                StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
            );
            if is_forbidden && !response.is_rate_limit() {
                tracing::warn!("GitHub does not let this client read teams: it needs read:org");
                return Ok(Some(Labels::new()));
            }
            if response.status != StatusCode::OK {
                return match response.unexpected().into() {
                    ProviderError::Unavailable { what, .. } => {
                        tracing::warn!(what, "the teams of an account cannot be fetched");
                        Ok(None)
                    }
                    error => Err(error),
                };
            }
            let teams: Vec<Team> = response.json()?;
            for team in teams {
                let is_here = team
                    .organization
                    .is_some_and(|its| its.login.eq_ignore_ascii_case(organization));
                if is_here {
                    slugs.extend(team.parent.map(|parent| parent.slug));
                    slugs.insert(team.slug);
                }
            }
            next = self.next_page(&response);
        }
        let teams = ("teams".to_owned(), slugs.into_iter().collect());
        Ok(Some(Labels::from([teams])))
    }

    /// The next page, if it is of the API: the token goes there (RFC 8288).
    fn next_page(&self, response: &ProviderResponse) -> Option<String> {
        let links = response.headers.get(LINK)?.to_str().ok()?;
        let next = links
            .split(',')
            .find(|link| link.contains("rel=\"next\""))?;
        let (_, rest) = next.split_once('<')?;
        let (address, _) = rest.split_once('>')?;
        let below = address.strip_prefix(self.api.as_str())?;
        below.starts_with('/').then(|| address.to_owned())
    }
}

impl UserApi for GithubSettings {
    fn authorization(&self) -> ProviderRequest<'_> {
        ProviderRequest {
            address: format!("{}/login/oauth/authorize", self.web),
            // The callback is the one that is registered at GitHub.
            parameters: vec![
                ("client_id", &self.client_id),
                ("scope", "user:email read:org"),
            ],
        }
    }

    /// Only a GitHub App whose tokens expire gives refresh tokens.
    fn tokens(&self) -> ProviderRequest<'_> {
        ProviderRequest {
            address: format!("{}/login/oauth/access_token", self.web),
            parameters: vec![
                ("client_id", &self.client_id),
                ("client_secret", self.client_secret.expose()),
            ],
        }
    }

    fn user<'a>(
        &'a self,
        api: &'a UserApiClient<'a>,
    ) -> BoxFuture<'a, Result<ProviderUser, ProviderError>> {
        Box::pin(self.identified(api))
    }
}
