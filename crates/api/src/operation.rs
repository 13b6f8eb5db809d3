//! An operation: one row of the table in `routes.rs`. Its types say what it needs, reads and
//! answers, so the router, the authority check and the OpenAPI document cannot disagree.

use std::sync::Arc;

use common::BoxFuture;
use http::Method;
use schemars::SchemaGenerator;

use crate::authority::ApiCaller;
use crate::call::{ApiCall, CallInput, InputShape, ParsedRequest};
use crate::problem::ApiProblem;
use crate::reply::{ApiReply, ApiResponse, ReplyShape};
use crate::scope::{RequiredScope, ScopeRequirement};
use crate::state::ApiState;

/// A method of a path.
pub(crate) struct ApiOperation {
    pub(crate) method: Method,
    /// `/users/{name}`.
    pub(crate) path: &'static str,
    /// A name that no other operation has: `showUser`.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) needed: ScopeRequirement,
    pub(crate) input: fn(&mut SchemaGenerator) -> InputShape,
    /// Whether it takes an `Idempotency-Key`.
    pub(crate) is_creation: bool,
    pub(crate) reply: fn(&mut SchemaGenerator) -> ReplyShape,
    handler: Handler,
}

type Handler = Box<
    dyn Fn(
            ApiCaller,
            Arc<ApiState>,
            ParsedRequest,
        ) -> BoxFuture<'static, Result<ApiResponse, ApiProblem>>
        + Send
        + Sync,
>;

impl ApiOperation {
    /// An operation that `handler` does for a caller with the scope `S`.
    pub(crate) fn new<S, I, R, F, Fut>(
        (method, path): (Method, &'static str),
        id: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Self
    where
        S: RequiredScope,
        I: CallInput,
        R: ApiReply,
        F: Fn(ApiCall<S, I>) -> Fut + Send + Sync + Copy + 'static,
        Fut: Future<Output = Result<R, ApiProblem>> + Send + 'static,
    {
        Self {
            method,
            path,
            id,
            summary,
            needed: S::NEEDED,
            input: I::shape,
            is_creation: R::IS_CREATION,
            reply: R::shape,
            handler: Box::new(move |caller, state, request| {
                Box::pin(async move {
                    let call = ApiCall::new(caller, state, request)?;
                    handler(call).await?.into_response()
                })
            }),
        }
    }

    /// Does it. `caller` was authorized for [`needed`](Self::needed).
    pub(crate) fn run(
        &self,
        caller: ApiCaller,
        state: Arc<ApiState>,
        request: ParsedRequest,
    ) -> BoxFuture<'static, Result<ApiResponse, ApiProblem>> {
        (self.handler)(caller, state, request)
    }

    /// The parameters of `segments` if this operation's path has their form. `/users/{name}` has one
    /// segment for a name, whatever is in it.
    pub(crate) fn parameters(&self, segments: &[String]) -> Option<Vec<(&'static str, String)>> {
        let mut parameters = Vec::new();
        let mut segments = segments.iter();
        for part in self.path.split('/').skip(1) {
            let segment = segments.next()?;
            match part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
            {
                Some(_) if segment.is_empty() => return None,
                Some(name) => parameters.push((name, segment.clone())),
                None if part == segment => {}
                None => return None,
            }
        }
        segments.next().is_none().then_some(parameters)
    }
}
