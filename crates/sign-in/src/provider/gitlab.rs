//! GitLab: `gitlab_auth`.

use common::{BoxFuture, Secret};
use policy::Labels;
use serde::Deserialize;

use super::user_api::{ProviderRequest, UserApi, UserApiClient, UserApiProvider, subject};
use super::{ProviderError, ProviderUser, SignInRefusal};

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
pub type GitlabProvider = UserApiProvider<GitlabSettings>;

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

impl GitlabSettings {
    fn wants_groups(&self) -> bool {
        self.group_labels || self.organization.is_some()
    }

    async fn identified(&self, api: &UserApiClient<'_>) -> Result<ProviderUser, ProviderError> {
        let user: GitlabUser = api.get(&format!("{}/user", self.api)).await?.json()?;
        if user.username.is_empty() {
            return Err(SignInRefusal::NoName("username".to_owned()).into());
        }
        let mut labels = Labels::new();
        if self.wants_groups() {
            let groups = self.groups(api).await?;
            self.check_membership(&user.username, &groups)?;
            if self.group_labels {
                labels.insert("groups".to_owned(), groups);
            }
        }
        Ok(ProviderUser {
            name: user.username,
            issuer: self.web.clone(),
            subject: subject(user.id),
            labels: Some(labels),
        })
    }

    /// The full paths of the groups that the user is a guest of, or more.
    async fn groups(&self, api: &UserApiClient<'_>) -> Result<Vec<String>, ProviderError> {
        let mut paths = Vec::new();
        let mut page = Some("1".to_owned());
        for _ in 0..MAX_PAGES {
            let Some(number) = page else { break };
            let address = format!(
                "{}/groups?min_access_level=10&per_page=100&page={number}",
                self.api
            );
            let response = api.get(&address).await?;
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
        let Some(organization) = &self.organization else {
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

impl UserApi for GitlabSettings {
    fn authorization(&self) -> ProviderRequest<'_> {
        let scope = if self.wants_groups() {
            "read_user read_api"
        } else {
            "read_user"
        };
        ProviderRequest {
            address: format!("{}/oauth/authorize", self.web),
            parameters: vec![
                ("client_id", &self.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("response_type", "code"),
                ("scope", scope),
            ],
        }
    }

    fn tokens(&self) -> ProviderRequest<'_> {
        ProviderRequest {
            address: format!("{}/oauth/token", self.web),
            parameters: vec![
                ("client_id", &self.client_id),
                ("client_secret", self.client_secret.expose()),
                ("redirect_uri", &self.redirect_uri),
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
