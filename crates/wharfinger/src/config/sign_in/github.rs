//! The section `github_auth`.

use sign_in::GithubSettings;

use super::super::schema::key;
use super::super::section::Section;
use super::{
    CommonKeys, ProviderConfig, SignInConfig, address, filled, policy_until_revoked,
    read_revalidation, warn_of_plain_http,
};

pub(super) fn read(section: &mut Section<'_>) -> Option<SignInConfig> {
    let organization = section.find(
        key::parsed("organization", "text", filled)
            .docker_auth()
            .means(
                "the organization whose members may sign in; their teams become the label `teams`",
            )
            .otherwise("every GitHub user"),
    );
    let common = CommonKeys::read(section);
    let revalidate_after = read_revalidation(section);
    let web = section.locate(
        key::parsed("github_web_uri", "URL", address)
            .docker_auth()
            .means("GitHub Enterprise: the address of its pages")
            .otherwise("https://github.com"),
    );
    let api = section.locate(
        key::parsed("github_api_uri", "URL", address)
            .docker_auth()
            .means("GitHub Enterprise: the address of its API, which ends with `/api/v3`")
            .otherwise("https://api.github.com"),
    );
    web.iter().chain(&api).for_each(warn_of_plain_http);
    let policy = policy_until_revoked(revalidate_after);
    common.section("github_auth", "GitHub".to_owned(), policy, |client| {
        ProviderConfig::Github(GithubSettings {
            web: web.map_or_else(|| "https://github.com".to_owned(), |web| web.value),
            api: api.map_or_else(|| "https://api.github.com".to_owned(), |api| api.value),
            client_id: client.id,
            client_secret: client.secret,
            organization,
        })
    })
}
