//! GitLab: `gitlab_auth`.

use common::{BoxFuture, Secret};
use http::StatusCode;
use openid::{ProviderClient, ProviderResponse, RequestAuthorization};
use policy::Labels;
use serde::Deserialize;

use super::{
    AuthorizationParameters, ExpectedUser, IdentityProvider, ProviderError, ProviderTokens,
    ProviderUser, SignInRefusal, TokenGrant, with_query,
};

/// The most pages of groups that are read, of 100 groups each.
const MAX_PAGES: u32 = 50;

/// What the configuration says of GitLab.
#[derive(Clone, Debug)]
pub struct GitlabSettings {
    /// The address of its pages, without a slash at the end.
    pub web: String,
    /// The address of its API, without a slash at the end.
    pub api: String,
    /// Who this server is there.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: Secret,
    /// Where GitLab sends the browser back to.
    pub redirect_uri: String,
    /// The group, by its full path, that users must be in. A group below it counts.
    pub organization: Option<String>,
    /// Whether the groups become the label `groups`.
    pub group_labels: bool,
}

/// GitLab.
pub struct GitlabProvider {
    settings: GitlabSettings,
    client: ProviderClient,
}

#[derive(Deserialize)]
struct GitlabUser {
    #[serde(default)]
    username: String,
    #[serde(default)]
    id: u64,
}

#[derive(Deserialize)]
struct Group {
    full_path: String,
}

impl GitlabProvider {
    /// GitLab by these settings.
    #[must_use]
    pub fn new(settings: GitlabSettings, client: ProviderClient) -> Self {
        Self { settings, client }
    }

    fn wants_groups(&self) -> bool {
        self.settings.group_labels || self.settings.organization.is_some()
    }

    fn begin(&self, parameters: &AuthorizationParameters) -> String {
        let scope = if self.wants_groups() {
            "read_user read_api"
        } else {
            "read_user"
        };
        let query = [
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", &self.settings.redirect_uri),
            ("response_type", "code"),
            ("scope", scope),
            ("state", &parameters.state),
            ("code_challenge", &parameters.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        with_query(&format!("{}/oauth/authorize", self.settings.web), &query)
    }

    async fn tokens(&self, grant: TokenGrant<'_>) -> Result<ProviderTokens, ProviderError> {
        let mut form = vec![
            ("client_id", self.settings.client_id.as_str()),
            ("client_secret", self.settings.client_secret.expose()),
            ("redirect_uri", &self.settings.redirect_uri),
        ];
        form.extend(match grant {
            TokenGrant::AuthorizationCode { code, verifier, .. } => vec![
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("code_verifier", verifier.expose()),
            ],
            TokenGrant::RefreshToken(token) => vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ],
        });
        let address = format!("{}/oauth/token", self.settings.web);
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
        let user: GitlabUser = response.json()?;
        if user.username.is_empty() {
            return Err(SignInRefusal::NoName("username".to_owned()).into());
        }
        let mut labels = Labels::new();
        if self.wants_groups() {
            let groups = self.groups(token).await?;
            self.check_membership(&user.username, &groups)?;
            if self.settings.group_labels {
                labels.insert("groups".to_owned(), groups);
            }
        }
        Ok(ProviderUser {
            name: user.username,
            issuer: self.settings.web.clone(),
            subject: match user.id {
                0 => String::new(),
                id => id.to_string(),
            },
            labels: Some(labels),
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

    /// The full paths of the groups that the user is a guest of, or more.
    async fn groups(&self, token: &Secret) -> Result<Vec<String>, ProviderError> {
        let mut paths = Vec::new();
        let mut page = Some("1".to_owned());
        for _ in 0..MAX_PAGES {
            let Some(number) = page else { break };
            let address = format!(
                "{}/groups?min_access_level=10&per_page=100&page={number}",
                self.settings.api
            );
            let response = self.get(&address, token).await?;
            let groups: Vec<Group> = response.json()?;
            paths.extend(groups.into_iter().map(|group| group.full_path));
            let next = response.headers.get("x-next-page");
            let next = next.and_then(|next| next.to_str().ok());
            let is_number =
                |next: &&str| !next.is_empty() && next.bytes().all(|b| b.is_ascii_digit());
            page = next.filter(is_number).map(str::to_owned);
        }
        Ok(paths)
    }

    /// Paths have no case at GitLab.
    fn check_membership(&self, name: &str, groups: &[String]) -> Result<(), SignInRefusal> {
        let Some(organization) = &self.settings.organization else {
            return Ok(());
        };
        let wanted = organization.to_lowercase();
        let is_in = |path: &String| {
            let path = path.to_lowercase();
            let below = path.strip_prefix(&wanted);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if groups.iter().any(is_in) {
            return Ok(());
        }
        Err(SignInRefusal::NotAMember {
            name: name.to_owned(),
            organization: organization.clone(),
        })
    }
}

impl IdentityProvider for GitlabProvider {
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
