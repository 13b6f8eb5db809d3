//! The device authorization endpoint (RFC 8628 §3.1): a device asks for a code that a person can
//! approve.

use std::error::Error;

use bytes::Bytes;
use common::RequestContext;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, request};
use hyper::body::Body;

use crate::device::DeviceDescription;
use crate::endpoint::TokenEndpoint;
use crate::error::TokenRequestError;
use crate::parameters::Parameters;
use crate::request::RequestError;
use crate::response::{DeviceAuthorizationBody, ErrorResponse, TokenServerResponse};

/// The longest `client_id` and `service`, in bytes. They are stored until the login is over.
const LONGEST_NAME: usize = 255;
/// How much of the name of a device is kept, in characters.
const LONGEST_DEVICE_NAME: usize = 64;
/// How much of a `User-Agent` is kept, in characters.
const LONGEST_USER_AGENT: usize = 200;

impl TokenEndpoint {
    /// Begins a login that a person is to approve.
    ///
    /// A `scope` is ignored (RFC 6749 §3.3): the device names it when it polls, or with the refresh
    /// token.
    pub(crate) async fn authorize_device<B>(
        &self,
        context: &RequestContext,
        request: Request<B>,
    ) -> TokenServerResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        match self.begin_device_login(context, &head, body).await {
            Ok(response) => response,
            Err(error) => self
                .error_response(error, context)
                .to_http(&self.issuer.issuer),
        }
    }

    async fn begin_device_login<B>(
        &self,
        context: &RequestContext,
        head: &request::Parts,
        body: B,
    ) -> Result<TokenServerResponse, TokenRequestError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let logins = self.accounts.device_logins.as_ref();
        let logins = logins.ok_or(ErrorResponse::NoDeviceLogins)?;
        let client = context.client.clone().map_err(ErrorResponse::from)?;
        let body = self.body.read(body).await.map_err(ErrorResponse::from)?;
        let query = head.uri.query().unwrap_or_default();
        let parameters = Parameters::of_form(&head.headers, query, &body)
            .map_err(|error| ErrorResponse::from(RequestError::from(error)))?;
        let address = client.ip.map(|ip| ip.to_string());
        let device = describe(&parameters, &head.headers, address.unwrap_or_default())
            .map_err(ErrorResponse::from)?;
        let shown = device.clone();
        let begun = logins.begin(device, context.attributable_address()).await?;
        let begun = begun.map_err(|too_many| ErrorResponse::TooManyDeviceLogins(too_many.0))?;
        tracing::info!(
            client_id = shown.client_id,
            device_name = shown.device_name,
            service = shown.service,
            address = shown.address,
            request_id = context.request_id,
            "a device asks for a login"
        );
        let page = context.origin.url(&self.device_page);
        Ok(DeviceAuthorizationBody {
            device_code: begun.device_code.expose(),
            user_code: &begun.user_code.to_string(),
            verification_uri_complete: &format!("{page}?user_code={}", begun.user_code),
            verification_uri: &page,
            expires_in: begun.ttl.as_secs(),
            interval: begun.interval.as_secs(),
        }
        .to_http())
    }
}

/// What the device says of itself.
fn describe(
    parameters: &Parameters<'_>,
    headers: &HeaderMap,
    address: String,
) -> Result<DeviceDescription, RequestError> {
    let client_id = name(parameters, "client_id")?;
    if client_id.is_empty() {
        return Err(RequestError::Missing("client_id"));
    }
    let user_agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let user_agent = String::from_utf8_lossy(user_agent.unwrap_or_default());
    Ok(DeviceDescription {
        service: name(parameters, "service")?,
        client_id,
        device_name: shortened(&parameters.text("device_name"), LONGEST_DEVICE_NAME),
        user_agent: shortened(&user_agent, LONGEST_USER_AGENT),
        address,
    })
}

fn name(parameters: &Parameters<'_>, name: &'static str) -> Result<String, RequestError> {
    let most = LONGEST_NAME;
    match parameters.text(name) {
        text if text.len() > most => Err(RequestError::TooLong { name, most }),
        text => Ok(text.into_owned()),
    }
}

fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
