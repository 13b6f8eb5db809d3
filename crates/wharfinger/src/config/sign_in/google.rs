//! The section `google_auth`.

use sign_in::OidcSettings;

use super::super::schema::key;
use super::super::section::Section;
use super::{Callback, CommonKeys, ProviderConfig, SignInConfig, address, filled, oidc};

pub(super) fn read(section: &mut Section<'_>, callback: &Callback) -> Option<SignInConfig> {
    let domain = section.find(
        key::parsed("domain", "text", filled)
            .docker_auth()
            .means("the domain in which users must be")
            .otherwise("any"),
    );
    let common = CommonKeys::read(section);
    let redirect_url = section.find(
        key::parsed("redirect_url", "URL", address)
            .means("the address of this page, as it is registered at Google as a redirect URI")
            .otherwise("`{public_url}{path_prefix}/google_auth`, or where the browser reached it"),
    );
    let policy = oidc::read_policy(section);
    let redirect_url = redirect_url.or_else(|| callback.known());
    common.section("google_auth", "Google".to_owned(), policy, |client| {
        let settings = OidcSettings::google(client.id, client.secret, redirect_url, domain);
        ProviderConfig::Oidc(settings)
    })
}
