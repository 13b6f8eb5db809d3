//! The section `gitlab_auth`.

use sign_in::GitlabSettings;

use super::super::diagnostics::Problem;
use super::super::schema::key;
use super::super::section::Section;
use super::{
    Callback, CommonKeys, ProviderConfig, SignInConfig, address, filled, policy_until_revoked,
    read_revalidation, warn_of_plain_http,
};

pub(super) fn read(section: &mut Section<'_>, callback: &Callback) -> Option<SignInConfig> {
    let organization = section.locate(
        key::parsed("organization", "text", filled)
            .docker_auth()
            .means("the full path of a group in which users must be, or in a group below it")
            .otherwise("every GitLab user"),
    );
    let common = CommonKeys::read(section);
    let revalidate_after = read_revalidation(section);
    let web = section.locate(
        key::parsed("gitlab_web_uri", "URL", address)
            .docker_auth()
            .means("the address of GitLab's pages")
            .otherwise("https://gitlab.com"),
    );
    let api = section.locate(
        key::parsed("gitlab_api_uri", "URL", address)
            .docker_auth()
            .means("the address of GitLab's API")
            .otherwise("https://gitlab.com/api/v4"),
    );
    section.find(
        key::parsed("grant_type", "text", grant_type)
            .docker_auth()
            .means("`authorization_code`; there is no other")
            .otherwise("authorization_code"),
    );
    let redirect_uri = section.find(
        key::parsed("redirect_uri", "URL", address)
            .docker_auth()
            .means("the address of this page, as it is registered at GitLab; it ends with `/gitlab_auth`")
            .otherwise("`{public_url}{path_prefix}/gitlab_auth`"),
    );
    let group_labels = section.get(
        key::switch("group_labels")
            .means("whether the full paths of the user's groups become the label `groups`")
            .default(false),
    );
    let redirect_uri = callback.or(section, "redirect_uri", redirect_uri);
    web.iter().chain(&api).for_each(warn_of_plain_http);
    if let Some(organization) = &organization {
        organization.setting.warn(
            Problem::Doubtful,
            "only members of this group may sign in; docker_auth let every GitLab user in",
        );
    }
    let redirect_uri = redirect_uri?;
    let policy = policy_until_revoked(revalidate_after);
    common.section("gitlab_auth", "GitLab".to_owned(), policy, |client| {
        ProviderConfig::Gitlab(GitlabSettings {
            web: web.map_or_else(|| "https://gitlab.com".to_owned(), |web| web.value),
            api: api.map_or_else(|| "https://gitlab.com/api/v4".to_owned(), |api| api.value),
            client_id: client.id,
            client_secret: client.secret,
            redirect_uri,
            organization: organization.map(|organization| organization.value),
            group_labels,
        })
    })
}

fn grant_type(text: &str) -> Result<String, String> {
    match text {
        "authorization_code" => Ok(text.to_owned()),
        _ => Err("must be authorization_code".to_owned()),
    }
}
