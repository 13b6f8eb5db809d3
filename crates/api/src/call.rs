//! What a handler gets: the proof that its caller may, and what the request says.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use database::Precondition;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::authority::ApiCaller;
use crate::body::{Mistake, read_json};
use crate::etag::precondition;
use crate::problem::ApiProblem;
use crate::reply::{NextPage, Page};
use crate::scope::RequiredScope;
use crate::state::ApiState;

/// A request whose caller may do what `S` says, and what it sent.
pub(crate) struct ApiCall<S, I = NoInput> {
    pub(crate) caller: ApiCaller,
    pub(crate) state: Arc<ApiState>,
    pub(crate) input: I,
    request: ParsedRequest,
    scope: PhantomData<S>,
}

/// A request of one operation, before its input is read.
pub(crate) struct ParsedRequest {
    pub(crate) headers: HeaderMap,
    /// The path as the client sent it, behind the proxy's prefix.
    pub(crate) path: String,
    /// The parameters of the path's template.
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) query: String,
    pub(crate) body: Bytes,
}

impl<S: RequiredScope, I: CallInput> ApiCall<S, I> {
    /// Reads the input. The caller was authorized for `S`: only `operation.rs` calls this.
    pub(crate) fn new(
        caller: ApiCaller,
        state: Arc<ApiState>,
        request: ParsedRequest,
    ) -> Result<Self, ApiProblem> {
        Ok(Self {
            caller,
            state,
            input: I::read(&request)?,
            request,
            scope: PhantomData,
        })
    }

    /// A parameter of the path; empty if its template has none of this name.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let mut parameters = self.request.parameters.iter();
        let found = parameters.find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// What `If-Match` demands.
    pub(crate) fn if_match(&self) -> Precondition {
        precondition(&self.request.headers)
    }

    /// The path of an object below this operation's path, for `Location`.
    pub(crate) fn location_of(&self, name: &str) -> String {
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        format!("{}/{name}", self.request.path)
    }

    /// The path of the object whose part this operation's path is.
    pub(crate) fn parent(&self) -> String {
        let parent = self.request.path.rsplit_once('/');
        parent.map_or_else(String::new, |(parent, _)| parent.to_owned())
    }

    /// A page of a list, of which `after` is the last item's key if there are more.
    pub(crate) fn page<T>(&self, items: Vec<T>, after: Option<&str>) -> Page<T> {
        let next = after.map(|key| NextPage::new(&self.request.path, &self.request.query, key));
        Page { items, next }
    }
}

/// How the input of an operation is read and described.
pub(crate) trait CallInput: Sized + Send + 'static {
    fn read(request: &ParsedRequest) -> Result<Self, ApiProblem>;

    fn shape(generator: &mut SchemaGenerator) -> InputShape;
}

/// What an operation reads.
#[derive(Default)]
pub(crate) struct InputShape {
    /// The schema of an object, whose members are the parameters of the query.
    pub(crate) query: Option<Schema>,
    pub(crate) body: Option<BodyShape>,
}

/// The body of a request.
pub(crate) struct BodyShape {
    pub(crate) media_type: &'static str,
    pub(crate) schema: Schema,
}

/// An operation reads nothing but its path.
pub(crate) struct NoInput;

/// Parameters of the query.
pub(crate) struct InQuery<T>(pub(crate) T);

/// A body of JSON.
pub(crate) struct InBody<T>(pub(crate) T);

/// A merge patch (RFC 7396).
pub(crate) struct InPatch<T>(pub(crate) T);

impl CallInput for NoInput {
    fn read(request: &ParsedRequest) -> Result<Self, ApiProblem> {
        read_query::<Map<String, Value>>(&request.query).and_then(|query| {
            match query.keys().next() {
                None => Ok(Self),
                Some(name) => Err(unknown_parameter(name)),
            }
        })
    }

    fn shape(_: &mut SchemaGenerator) -> InputShape {
        InputShape::default()
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> CallInput for InQuery<T> {
    fn read(request: &ParsedRequest) -> Result<Self, ApiProblem> {
        read_query(&request.query).map(Self)
    }

    fn shape(generator: &mut SchemaGenerator) -> InputShape {
        InputShape {
            query: Some(T::json_schema(generator)),
            body: None,
        }
    }
}

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl<T: DeserializeOwned + JsonSchema + Send + 'static> CallInput for InBody<T> {
    fn read(request: &ParsedRequest) -> Result<Self, ApiProblem> {
        NoInput::read(request)?;
        require_type(&request.headers, &[JSON])?;
        read_json(&request.body).map(Self)
    }

    fn shape(generator: &mut SchemaGenerator) -> InputShape {
        body_shape::<T>(JSON, generator)
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> CallInput for InPatch<T> {
    fn read(request: &ParsedRequest) -> Result<Self, ApiProblem> {
        NoInput::read(request)?;
        require_type(&request.headers, &[MERGE_PATCH, JSON])?;
        read_json(&request.body).map(Self)
    }

    fn shape(generator: &mut SchemaGenerator) -> InputShape {
        body_shape::<T>(MERGE_PATCH, generator)
    }
}

fn body_shape<T: JsonSchema>(
    media_type: &'static str,
    generator: &mut SchemaGenerator,
) -> InputShape {
    InputShape {
        query: None,
        body: Some(BodyShape {
            media_type,
            schema: generator.subschema_for::<T>(),
        }),
    }
}

/// Reads the query, in which each parameter may be once.
fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiProblem> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let before = parameters.insert(name.to_string(), Value::from(value.into_owned()));
        if before.is_some() {
            let detail = format!("the parameter {name} is there twice");
            return Err(ApiProblem::invalid_parameter(name, detail));
        }
    }
    serde_path_to_error::deserialize(Value::Object(parameters)).map_err(|error| {
        let mistake = Mistake::of(&error.inner().to_string());
        let name = mistake.parameter(&error);
        let detail = match mistake.detail.starts_with(&name) {
            true => mistake.detail,
            false => format!("{name}: {}", mistake.detail),
        };
        ApiProblem::invalid_parameter(name, detail)
    })
}

fn unknown_parameter(name: &str) -> ApiProblem {
    ApiProblem::invalid_parameter(name, format!("the parameter {name} is not known here"))
}

/// Requires that the body is of one of these types (RFC 9110 §15.5.16).
fn require_type(headers: &HeaderMap, wanted: &[&str]) -> Result<(), ApiProblem> {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = sent
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let is_wanted = wanted
        .iter()
        .any(|wanted| essence.trim().eq_ignore_ascii_case(wanted));
    if is_wanted {
        return Ok(());
    }
    let wanted = wanted.join(" or ");
    let detail = format!("the body must be JSON: send it with `Content-Type: {wanted}`");
    let status = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ApiProblem::new(status, detail))
}
