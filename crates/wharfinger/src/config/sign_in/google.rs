//! The section `google_auth`.

use sign_in::{AccountPolicy, OidcSettings, RefreshWhen};

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
    let (revalidate_after, session) = oidc::read_periods(section);
    Some(SignInConfig {
        section: "google_auth",
        title: "Google".to_owned(),
        provider: ProviderConfig::Oidc(OidcSettings::google(
            common.client_id?,
            common.client_secret?,
            redirect_url.or_else(|| callback.known()),
            domain,
        )),
        policy: AccountPolicy {
            revalidate_after,
            session,
            refresh: RefreshWhen::Always,
            ignores_case: false,
        },
        store: common.store,
        http_timeout: common.http_timeout,
        registry: common.registry,
    })
}
