//! Every address of the pages, and what answers there.

use std::error::Error;

use bytes::Bytes;
use common::RequestContext;
use http::header::{ALLOW, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Method, Request, StatusCode, request};
use hyper::body::Body;

use super::device::DevicePage;
use super::form;
use super::html::{self, ErrorPage, IndexPage, STYLE, SignInLink, SignInResponse};
use super::sign_in::{PageQuery, SignInRequest};
use super::{SignInPage, SignInServer};

impl SignInServer {
    /// Responds to one request.
    pub async fn respond<B>(&self, context: &RequestContext, request: Request<B>) -> SignInResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut response = self.routed(context, request).await;
        if let Some(hsts) = &self.settings.hsts {
            response
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response
    }

    async fn routed<B>(&self, context: &RequestContext, request: Request<B>) -> SignInResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let below = path.strip_prefix(&self.settings.path_prefix);
        let below = below.and_then(|below| below.strip_prefix('/'));
        let device = DevicePage::new(&self.settings, context, &head.headers);
        let page = match (below, &device) {
            (Some("device"), Some(device)) => return routed_device(device, &head, body).await,
            (Some(""), _) if !self.settings.pages.is_empty() => {
                return self.index(context, &head.method);
            }
            (Some(name), _) => {
                let mut pages = self.settings.pages.iter();
                pages.find(|page| page.accounts.section() == name)
            }
            (None, _) => None,
        };
        let Some(page) = page else {
            return match &device {
                Some(device) if self.settings.pages.is_empty() => {
                    device.failed(StatusCode::NOT_FOUND, "There is no such page.")
                }
                _ => self.not_found(context),
            };
        };
        let (address, url) = (context.origin.path(path), context.origin.url(path));
        let request = SignInRequest {
            page,
            device: device.as_ref(),
            key: &self.settings.key,
            observers: &self.settings.observers,
            context,
            headers: &head.headers,
            address: &address,
            url: &url,
        };
        match head.method {
            Method::GET => {
                let query = PageQuery::parse(head.uri.query().unwrap_or_default());
                request.get(query).await
            }
            // Nothing is begun or finished for the headers alone.
            Method::HEAD => request.get(PageQuery::default()).await,
            Method::POST => match form::read(&head.headers, body).await {
                Ok(form) => request.post(&form).await,
                Err(status) => request.failed(status, "The form could not be read."),
            },
            _ => method_not_allowed(page, &address, "GET, HEAD, POST"),
        }
    }

    /// A page that links each way, or leads to the only one.
    fn index(&self, context: &RequestContext, method: &Method) -> SignInResponse {
        let address = |page: &SignInPage| {
            let section = page.accounts.section();
            let path = format!("{}/{section}", self.settings.path_prefix);
            context.origin.path(&path)
        };
        let pages = &self.settings.pages;
        if let (false, Some(page)) = (matches!(*method, Method::GET | Method::HEAD), pages.first())
        {
            return method_not_allowed(page, &address(page), "GET, HEAD");
        }
        if let [only] = &pages[..]
            && let Some(response) = html::redirect(&address(only))
        {
            return response;
        }
        let ways = pages.iter().map(|page| SignInLink {
            title: &page.title,
            address: address(page),
        });
        let index = IndexPage {
            style: STYLE,
            ways: ways.collect(),
        };
        html::page(StatusCode::OK, &index)
    }

    fn not_found(&self, context: &RequestContext) -> SignInResponse {
        let index = format!("{}/", self.settings.path_prefix);
        let page = ErrorPage {
            style: STYLE,
            title: "a provider",
            message: "There is no such page.",
            address: &context.origin.path(&index),
        };
        html::page(StatusCode::NOT_FOUND, &page)
    }
}

/// A request of the page of device logins.
async fn routed_device<B>(page: &DevicePage<'_>, head: &request::Parts, body: B) -> SignInResponse
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match head.method {
        Method::GET | Method::HEAD => page.get(head.uri.query().unwrap_or_default()).await,
        Method::POST => match form::read(&head.headers, body).await {
            Ok(form) => page.post(form).await,
            Err(status) => page.failed(status, "The form could not be read."),
        },
        _ => {
            let message = "This page does not support the method of the request.";
            let mut response = page.failed(StatusCode::METHOD_NOT_ALLOWED, message);
            let allow = HeaderValue::from_static("GET, HEAD, POST");
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }
}

fn method_not_allowed(page: &SignInPage, address: &str, allow: &'static str) -> SignInResponse {
    let error = ErrorPage {
        style: STYLE,
        title: &page.title,
        message: "This page does not support the method of the request.",
        address,
    };
    let mut response = html::page(StatusCode::METHOD_NOT_ALLOWED, &error);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}
