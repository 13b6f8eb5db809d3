//! OpenID Connect: `oidc_auth`, and `google_auth`, which is one provider of it.

use std::sync::Arc;

use common::{BoxFuture, Clock, Secret};
use openid::{
    ClientAuthentication, ProviderClient, ProviderDiscovery, RequestAuthorization,
    SignatureProblem, claim,
};
use serde_json::{Map, Value};

use super::id_token::{self, IdTokenRules};
use super::{
    AuthorizationParameters, ExpectedUser, IdTokenError, IdentityProvider, ProviderError,
    ProviderTokens, ProviderUser, SignInRefusal, TokenGrant, label_claims, with_query,
};

/// Google's issuer. Its ID tokens also have it without the scheme.
const GOOGLE: &str = "https://accounts.google.com";

/// What the configuration says of a provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Who this server is at the provider.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: Secret,
    /// Where the provider sends the browser back to. If it is absent, to the page as the browser
    /// reached it.
    pub redirect_url: Option<String>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The claim that is the account's name.
    pub user_claim: String,
    /// The claims that become labels.
    pub label_claims: Vec<String>,
    /// The domain in which users must be.
    pub domain: Option<String>,
    /// Further parameters of the authorization request.
    pub parameters: Vec<(&'static str, &'static str)>,
}

/// A provider that speaks OpenID Connect.
pub struct OidcProvider {
    settings: OidcSettings,
    issuers: Vec<String>,
    client: ProviderClient,
    discovery: ProviderDiscovery,
    clock: Arc<dyn Clock>,
}

impl OidcSettings {
    /// Google, by its e-mail addresses. It gives a refresh token only for these parameters.
    #[must_use]
    pub fn google(
        client_id: String,
        client_secret: Secret,
        redirect_url: Option<String>,
        domain: Option<String>,
    ) -> Self {
        Self {
            issuer: GOOGLE.to_owned(),
            client_id,
            client_secret,
            redirect_url,
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            user_claim: "email".to_owned(),
            label_claims: Vec::new(),
            domain,
            parameters: vec![("access_type", "offline"), ("prompt", "consent")],
        }
    }
}

impl OidcProvider {
    /// A provider of these settings. Nothing is fetched yet.
    #[must_use]
    pub fn new(settings: OidcSettings, client: ProviderClient, clock: Arc<dyn Clock>) -> Self {
        let mut issuers = vec![settings.issuer.clone()];
        if settings.issuer == GOOGLE {
            issuers.extend(GOOGLE.strip_prefix("https://").map(str::to_owned));
        }
        Self {
            discovery: ProviderDiscovery::new(&settings.issuer, client.clone(), Arc::clone(&clock)),
            settings,
            issuers,
            client,
            clock,
        }
    }

    async fn begin(&self, parameters: &AuthorizationParameters) -> Result<String, ProviderError> {
        let document = self.discovery.document().await?;
        let scope = self.settings.scopes.join(" ");
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", self.redirect_url(&parameters.page)),
            ("scope", &scope),
            ("state", &parameters.state),
            ("nonce", &parameters.nonce),
            ("code_challenge", &parameters.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        query.extend_from_slice(&self.settings.parameters);
        Ok(with_query(document.authorization_endpoint()?, &query))
    }

    fn redirect_url<'a>(&'a self, page: &'a str) -> &'a str {
        self.settings.redirect_url.as_deref().unwrap_or(page)
    }

    async fn tokens(&self, grant: TokenGrant<'_>) -> Result<ProviderTokens, ProviderError> {
        let document = self.discovery.document().await?;
        let mut form = match grant {
            TokenGrant::AuthorizationCode {
                code,
                verifier,
                page,
            } => vec![
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("redirect_uri", self.redirect_url(page)),
                ("code_verifier", verifier.expose()),
            ],
            TokenGrant::RefreshToken(token) => vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ],
        };
        let (id, secret) = (&self.settings.client_id, &self.settings.client_secret);
        let authorization = match document.client_authentication()? {
            ClientAuthentication::Basic => RequestAuthorization::Basic { id, secret },
            ClientAuthentication::Form => {
                form.extend([
                    ("client_id", id.as_str()),
                    ("client_secret", secret.expose()),
                ]);
                RequestAuthorization::None
            }
        };
        let response = self
            .client
            .post(document.token_endpoint()?, authorization, &form)
            .await?;
        ProviderTokens::of_response(&response, grant)
    }

    async fn user(
        &self,
        tokens: &ProviderTokens,
        expected: ExpectedUser<'_>,
    ) -> Result<ProviderUser, ProviderError> {
        let mut claims = match (tokens.id_token.is_empty(), expected) {
            (false, ExpectedUser::SignIn { nonce }) => {
                self.id_token_claims(tokens, Some(nonce)).await?
            }
            (false, ExpectedUser::Known { .. }) => self.id_token_claims(tokens, None).await?,
            (true, ExpectedUser::SignIn { .. }) => {
                return Err(ProviderError::broken(
                    "the token endpoint sent no id_token: the scopes must have openid",
                ));
            }
            (true, ExpectedUser::Known { .. }) => Map::new(),
        };
        let wanted = std::iter::once(&self.settings.user_claim).chain(&self.settings.label_claims);
        let lacks = |path: &String| claim(&claims, path).is_none();
        if wanted.into_iter().any(lacks) {
            self.add_userinfo(&mut claims, tokens).await?;
        }
        self.user_of(&claims, expected)
    }

    async fn id_token_claims(
        &self,
        tokens: &ProviderTokens,
        nonce: Option<&str>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let algorithms = self.discovery.document().await?.algorithms();
        let rules = IdTokenRules {
            issuers: &self.issuers,
            client_id: &self.settings.client_id,
            algorithms: &algorithms,
            nonce,
            now: self.clock.now(),
        };
        let keys = self.discovery.keys(false).await?;
        let mut verified = id_token::verify(&tokens.id_token, &keys, &rules);
        if matches!(
            verified,
            Err(IdTokenError::Signature(SignatureProblem::UnknownKey))
        ) {
            let keys = self.discovery.keys(true).await?;
            verified = id_token::verify(&tokens.id_token, &keys, &rules);
        }
        Ok(verified.map_err(SignInRefusal::IdToken)?.0)
    }

    /// Adds the claims of the userinfo endpoint that `claims` lacks (Core §5.3).
    async fn add_userinfo(
        &self,
        claims: &mut Map<String, Value>,
        tokens: &ProviderTokens,
    ) -> Result<(), ProviderError> {
        let document = self.discovery.document().await?;
        let Some(address) = &document.userinfo_endpoint else {
            return Ok(());
        };
        let bearer = RequestAuthorization::Bearer(&tokens.access_token);
        let response = self.client.get(address, bearer).await?;
        if response.status == http::StatusCode::UNAUTHORIZED {
            return Err(SignInRefusal::Revoked.into());
        }
        let told: Map<String, Value> = response.json()?;
        // Core §5.3.2: it may only speak of the user of the ID token.
        if let Some(subject) = claims.get("sub")
            && told.get("sub") != Some(subject)
        {
            return Err(ProviderError::broken(
                "the userinfo endpoint speaks of another user than the ID token",
            ));
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    fn user_of(
        &self,
        claims: &Map<String, Value>,
        expected: ExpectedUser<'_>,
    ) -> Result<ProviderUser, ProviderError> {
        let text = |name: &str| {
            let value = claim(claims, name).and_then(Value::as_str);
            value.filter(|text| !text.is_empty())
        };
        let subject = text("sub").unwrap_or_default();
        let claim = &self.settings.user_claim;
        let name = match (text(claim), expected) {
            (Some(name), _) => name.to_owned(),
            // Some providers tell the name at sign-in only.
            (
                None,
                ExpectedUser::Known {
                    name,
                    subject: known,
                },
            ) if !known.is_empty() && known == subject => name.to_owned(),
            (None, _) => return Err(SignInRefusal::NoName(claim.clone()).into()),
        };
        self.check_email(claims, &name)?;
        self.check_domain(text("hd"), &name)?;
        Ok(ProviderUser {
            name,
            issuer: self.settings.issuer.clone(),
            subject: subject.to_owned(),
            labels: Some(label_claims::labels(claims, &self.settings.label_claims)),
        })
    }

    /// At some providers a user may claim any address, and only a verified one names a user.
    fn check_email(&self, claims: &Map<String, Value>, name: &str) -> Result<(), SignInRefusal> {
        if self.settings.user_claim != "email" {
            return Ok(());
        }
        match claims.get("email_verified") {
            Some(Value::Bool(true)) => Ok(()),
            // Some write it as text.
            Some(Value::String(text)) if text == "true" => Ok(()),
            Some(_) => Err(SignInRefusal::EmailNotVerified(name.to_owned())),
            None => {
                tracing::warn!(
                    issuer = self.settings.issuer,
                    account = name,
                    "the provider does not say whether it has verified this e-mail address"
                );
                Ok(())
            }
        }
    }

    /// Google tells the domain of an organization's account as `hd`.
    fn check_domain(&self, hosted: Option<&str>, name: &str) -> Result<(), SignInRefusal> {
        let Some(domain) = &self.settings.domain else {
            return Ok(());
        };
        let of_address = name.rsplit_once('@').map(|(_, domain)| domain);
        match hosted.or(of_address) {
            Some(found) if found.eq_ignore_ascii_case(domain) => Ok(()),
            _ => Err(SignInRefusal::OtherDomain {
                name: name.to_owned(),
                domain: domain.clone(),
            }),
        }
    }
}

impl IdentityProvider for OidcProvider {
    fn authorization_url<'a>(
        &'a self,
        parameters: &'a AuthorizationParameters,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(self.begin(parameters))
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
        expected: ExpectedUser<'a>,
    ) -> BoxFuture<'a, Result<ProviderUser, ProviderError>> {
        Box::pin(self.user(tokens, expected))
    }
}
