//! The section `oidc_auth`.

use sign_in::{AccountPolicy, OidcSettings, RefreshWhen};

use super::super::diagnostics::Problem;
use super::super::schema::key;
use super::super::section::Section;
use super::{
    CommonKeys, HOUR, LONGEST, ProviderConfig, SECOND, SignInConfig, filled, warn_of_plain_http,
};

/// Where the page is.
const PATH: &str = "/oidc_auth";

pub(super) fn read(section: &mut Section<'_>) -> Option<SignInConfig> {
    let issuer = section.locate(
        key::parsed("issuer", "URL", issuer)
            .docker_auth()
            .required("write the provider's issuer")
            .means("the provider's issuer, exactly as its discovery document has it"),
    );
    let redirect_url = section.locate(
        key::parsed("redirect_url", "URL", super::address)
            .docker_auth()
            .required("write the address of this page, which ends with /oidc_auth")
            .means("the address of this page, as it is registered at the provider; it ends with `/oidc_auth`"),
    );
    let common = CommonKeys::read(section);
    let user_claim = section.get(
        key::parsed("user_claim", "text", filled)
            .docker_auth()
            .means("the claim that is the account's name; `email` must be verified")
            .default("email".to_owned()),
    );
    let label_claims = read_label_claims(section);
    let scopes = read_scopes(section);
    let policy = read_policy(section);
    let title = section.get(
        key::parsed("title", "text", filled)
            .means("what the page calls the provider")
            .default("OpenID Connect".to_owned()),
    );
    let (issuer, redirect_url) = (issuer?, redirect_url?);
    warn_of_plain_http(&issuer);
    if !redirect_url.value.ends_with(PATH) {
        redirect_url.setting.warn(
            Problem::Doubtful,
            "does not end with /oidc_auth, where this server has the page",
        );
    }
    common.section("oidc_auth", title, policy, |client| {
        ProviderConfig::Oidc(OidcSettings {
            issuer: issuer.value,
            client_id: client.id,
            client_secret: client.secret,
            redirect_url: Some(redirect_url.value),
            scopes,
            user_claim,
            label_claims,
            domain: None,
            parameters: Vec::new(),
        })
    })
}

/// The issuer is compared as it is written, so a slash at its end stays.
fn issuer(text: &str) -> Result<String, String> {
    super::address(text).map(|_| text.to_owned())
}

/// docker_auth's manual says `label_claims`, and its code reads `labels_claims`.
fn read_label_claims(section: &mut Section<'_>) -> Vec<String> {
    let of_manual = section.locate(
        key::texts("label_claims")
            .docker_auth()
            .means(
                "the claims that become labels: lists of texts, or a text; `a.b` is the member `b` \
                 of the claim `a`",
            )
            .otherwise("[]"),
    );
    let of_code = section.locate(
        key::texts("labels_claims")
            .docker_auth()
            .means("the same")
            .otherwise("[]"),
    );
    match (of_manual, of_code) {
        (Some(one), Some(_)) => {
            let message = "label_claims and labels_claims mean the same; remove one of them";
            one.setting.report(Problem::Conflict, message);
            one.value
        }
        (Some(one), None) | (None, Some(one)) => one.value,
        (None, None) => Vec::new(),
    }
}

fn read_scopes(section: &mut Section<'_>) -> Vec<String> {
    let usual = || vec!["openid".to_owned(), "email".to_owned()];
    let scopes = section.locate(
        key::texts("scopes")
            .docker_auth()
            .means("the scopes that the provider is asked for; `openid` must be there")
            .otherwise("[openid, email]"),
    );
    match scopes {
        Some(scopes) => {
            if !scopes.value.iter().any(|scope| scope == "openid") {
                scopes
                    .setting
                    .error("openid is missing: without it there is no ID token");
            }
            scopes.value
        }
        None => usual(),
    }
}

/// How long accounts count between revalidations, which use the refresh token.
pub(super) fn read_policy(section: &mut Section<'_>) -> AccountPolicy {
    AccountPolicy {
        revalidate_after: section.find(
            key::duration("revalidate_after", SECOND..=LONGEST)
                .means("how long an account counts until its refresh token is used")
                .otherwise("the life of the access token"),
        ),
        session: section.get(
            key::duration("session", SECOND..=LONGEST)
                .means("how long a sign-in is good if the provider gives no refresh token")
                .default(12 * HOUR),
        ),
        refresh: RefreshWhen::Always,
        ignores_case: false,
    }
}
