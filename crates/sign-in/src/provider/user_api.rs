//! Providers without ID tokens: OAuth 2.0, and an API that says whose an access token is. GitHub and
//! GitLab are two.

use common::{BoxFuture, Secret};
use http::StatusCode;
use openid::{ProviderClient, ProviderResponse, RequestAuthorization};

use super::{
    AuthorizationParameters, ExpectedUser, IdentityProvider, ProviderError, ProviderTokens,
    ProviderUser, SignInRefusal, TokenGrant, with_query,
};

/// What one provider of this kind has for itself.
pub trait UserApi: Send + Sync {
    /// Where the browser goes, with parameters that only this provider has.
    fn authorization(&self) -> ProviderRequest<'_>;

    /// Where tokens are given, with parameters besides the grant.
    fn tokens(&self) -> ProviderRequest<'_>;

    /// The user of an access token, and whether the user may sign in.
    fn user<'a>(
        &'a self,
        api: &'a UserApiClient<'a>,
    ) -> BoxFuture<'a, Result<ProviderUser, ProviderError>>;
}

/// An address, and the parameters that go there.
pub struct ProviderRequest<'a> {
    pub(super) address: String,
    pub(super) parameters: Vec<(&'static str, &'a str)>,
}

/// A provider of this kind.
pub struct UserApiProvider<A> {
    api: A,
    client: ProviderClient,
}

/// Asks the API with a user's access token.
pub struct UserApiClient<'a> {
    client: &'a ProviderClient,
    token: &'a Secret,
}

impl<A> UserApiProvider<A> {
    /// A provider that `client` reaches.
    #[must_use]
    pub fn new(api: A, client: ProviderClient) -> Self {
        Self { api, client }
    }
}

impl<A: UserApi> UserApiProvider<A> {
    async fn tokens(&self, grant: TokenGrant<'_>) -> Result<ProviderTokens, ProviderError> {
        let ProviderRequest {
            address,
            parameters: mut form,
        } = self.api.tokens();
        match grant {
            TokenGrant::AuthorizationCode { code, verifier, .. } => form.extend([
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("code_verifier", verifier.expose()),
            ]),
            TokenGrant::RefreshToken(token) => form.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ]),
        }
        let response = self
            .client
            .post(&address, RequestAuthorization::None, &form)
            .await?;
        ProviderTokens::of_response(&response, grant)
    }
}

impl UserApiClient<'_> {
    /// The response to a request. A token that is not accepted is one that was revoked.
    pub(super) async fn get(&self, address: &str) -> Result<ProviderResponse, ProviderError> {
        let bearer = RequestAuthorization::Bearer(self.token);
        let response = self.client.get(address, bearer).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Err(SignInRefusal::Revoked.into());
        }
        Ok(response)
    }
}

impl<A: UserApi> IdentityProvider for UserApiProvider<A> {
    fn authorization_url<'a>(
        &'a self,
        parameters: &'a AuthorizationParameters,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        let ProviderRequest {
            address,
            parameters: mut query,
        } = self.api.authorization();
        query.extend([
            ("state", parameters.state.as_str()),
            ("code_challenge", &parameters.code_challenge),
            ("code_challenge_method", "S256"),
        ]);
        Box::pin(std::future::ready(Ok(with_query(&address, &query))))
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
        Box::pin(async move {
            let api = UserApiClient {
                client: &self.client,
                token: &tokens.access_token,
            };
            self.api.user(&api).await
        })
    }
}

/// A user's own id at a provider that numbers users from 1; 0 if it sent none.
pub(super) fn subject(id: u64) -> String {
    match id {
        0 => String::new(),
        id => id.to_string(),
    }
}
