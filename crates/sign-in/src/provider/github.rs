//! GitHub and GitHub Enterprise: `github_auth`.

use std::collections::BTreeSet;

use common::{BoxFuture, Secret};
use http::StatusCode;
use http::header::LINK;
use openid::{ProviderClient, ProviderResponse, RequestAuthorization};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::Labels;
use serde::Deserialize;

use super::{
    AuthorizationParameters, ExpectedUser, IdentityProvider, ProviderError, ProviderTokens,
    ProviderUser, SignInRefusal, TokenGrant, with_query,
};

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
pub struct GithubProvider {
    settings: GithubSettings,
    client: ProviderClient,
}

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

impl GithubProvider {
    /// GitHub by these settings.
    #[must_use]
    pub fn new(settings: GithubSettings, client: ProviderClient) -> Self {
        Self { settings, client }
    }

    fn begin(&self, parameters: &AuthorizationParameters) -> String {
        // The callback is the one that is registered at GitHub.
        let query = [
            ("client_id", self.settings.client_id.as_str()),
            ("scope", "user:email read:org"),
            ("state", &parameters.state),
            ("code_challenge", &parameters.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        with_query(
            &format!("{}/login/oauth/authorize", self.settings.web),
            &query,
        )
    }

    async fn tokens(&self, grant: TokenGrant<'_>) -> Result<ProviderTokens, ProviderError> {
        let mut form = vec![
            ("client_id", self.settings.client_id.as_str()),
            ("client_secret", self.settings.client_secret.expose()),
        ];
        match grant {
            TokenGrant::AuthorizationCode { code, verifier, .. } => {
                form.extend([
                    ("code", code.expose()),
                    ("code_verifier", verifier.expose()),
                ]);
            }
            // Only a GitHub App whose tokens expire gives refresh tokens.
            TokenGrant::RefreshToken(token) => form.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ]),
        }
        let address = format!("{}/login/oauth/access_token", self.settings.web);
        let response = self
            .client
            .post(&address, RequestAuthorization::None, &form)
            .await?;
        ProviderTokens::of_response(&response, grant)
    }

    async fn user(&self, token: &Secret) -> Result<ProviderUser, ProviderError> {
        let response = self
            .get(&format!("{}/user", self.settings.api), token)
            .await?;
        let user: GithubUser = response.json()?;
        if user.login.is_empty() {
            return Err(SignInRefusal::NoName("login".to_owned()).into());
        }
        let labels = match &self.settings.organization {
            Some(organization) => {
                self.check_membership(organization, &user.login, token)
                    .await?;
                self.teams(organization, token).await?
            }
            None => Some(Labels::new()),
        };
        Ok(ProviderUser {
            name: user.login,
            issuer: self.settings.web.clone(),
            subject: match user.id {
                0 => String::new(),
                id => id.to_string(),
            },
            labels,
        })
    }

    async fn get(&self, address: &str, token: &Secret) -> Result<ProviderResponse, ProviderError> {
        let bearer = RequestAuthorization::Bearer(token);
        let response = self.client.get(address, bearer).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Err(SignInRefusal::Revoked.into());
        }
        Ok(response)
    }

    /// 204 for a member, 404 for another user, and 302 if the asking user, who is the same, is none.
    async fn check_membership(
        &self,
        organization: &str,
        login: &str,
        token: &Secret,
    ) -> Result<(), ProviderError> {
        let [organization_part, login_part] =
            [organization, login].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        let address = format!(
            "{}/orgs/{organization_part}/members/{login_part}",
            self.settings.api
        );
        let response = self.get(&address, token).await?;
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
        token: &Secret,
    ) -> Result<Option<Labels>, ProviderError> {
        let mut slugs = BTreeSet::new();
        let mut next = Some(format!("{}/user/teams?per_page=100", self.settings.api));
        for _ in 0..MAX_PAGES {
            let Some(address) = next else { break };
            let response = match self.get(&address, token).await {
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
        let below = address.strip_prefix(self.settings.api.as_str())?;
        below.starts_with('/').then(|| address.to_owned())
    }
}

impl IdentityProvider for GithubProvider {
    fn authorization_url<'a>(
        &'a self,
        parameters: &'a AuthorizationParameters,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(std::future::ready(Ok(self.begin(parameters))))
    }

    fn request_tokens<'a>(
        &'a self,
        grant: TokenGrant<'a>,
    ) -> BoxFuture<'a, Result<ProviderTokens, ProviderError>> {
        Box::pin(self.tokens(grant))
    }

    fn identify<'a>(
        &'a self,
        tokens: &'a ProviderTokens,
        _: ExpectedUser<'a>,
    ) -> BoxFuture<'a, Result<ProviderUser, ProviderError>> {
        Box::pin(self.user(&tokens.access_token))
    }
}
