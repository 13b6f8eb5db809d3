//! What handlers return, and how it becomes a response.

use http::StatusCode;
use http::header::{ETAG, HeaderName, LINK, LOCATION};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::etag::EntityTag;
use crate::pages::{Cursor, PageView};
use crate::problem::ApiProblem;

/// A response before it is written.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// The JSON; `Null` for no body.
    pub(crate) body: Value,
    pub(crate) tag: Option<EntityTag>,
}

/// Something that a handler returns.
pub(crate) trait ApiReply {
    /// Whether it answers a creation, which may be sent again with an `Idempotency-Key`.
    const IS_CREATION: bool = false;

    fn shape(generator: &mut SchemaGenerator) -> ReplyShape;

    fn into_response(self) -> Result<ApiResponse, ApiProblem>;
}

/// What an operation answers if it succeeds.
pub(crate) struct ReplyShape {
    pub(crate) status: StatusCode,
    /// The schema of the body, if there is one.
    pub(crate) schema: Option<Schema>,
    pub(crate) headers: &'static [HeaderName],
}

/// 200 with an object, and its tag if it has one.
pub(crate) struct Shown<T> {
    pub(crate) value: T,
    pub(crate) tag: Option<EntityTag>,
}

/// 201 with a new object.
pub(crate) struct CreatedObject<T> {
    pub(crate) value: T,
    /// The path of the object.
    pub(crate) location: String,
    pub(crate) tag: Option<EntityTag>,
}

/// 200 with a page of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<NextPage>,
}

/// 204: it is done, and there is nothing to show.
pub(crate) struct NoContent;

/// Where the next page is.
pub(crate) struct NextPage {
    cursor: String,
    url: String,
}

impl NextPage {
    /// The page behind the item with this key, of the list at `path` with this query.
    pub(crate) fn new(path: &str, query: &str, key: &str) -> Self {
        let cursor = Cursor::behind(key).encode();
        let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("after", &cursor)
            .finish();
        Self {
            cursor,
            url: format!("{path}?{query}"),
        }
    }
}

impl<T: Serialize + JsonSchema> ApiReply for Shown<T> {
    fn shape(generator: &mut SchemaGenerator) -> ReplyShape {
        ReplyShape {
            status: StatusCode::OK,
            schema: Some(generator.subschema_for::<T>()),
            headers: &[ETAG],
        }
    }

    fn into_response(self) -> Result<ApiResponse, ApiProblem> {
        Ok(ApiResponse {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: to_json(&self.value)?,
            tag: self.tag,
        })
    }
}

impl<T: Serialize + JsonSchema> ApiReply for CreatedObject<T> {
    const IS_CREATION: bool = true;

    fn shape(generator: &mut SchemaGenerator) -> ReplyShape {
        ReplyShape {
            status: StatusCode::CREATED,
            schema: Some(generator.subschema_for::<T>()),
            headers: &[LOCATION, ETAG],
        }
    }

    fn into_response(self) -> Result<ApiResponse, ApiProblem> {
        Ok(ApiResponse {
            status: StatusCode::CREATED,
            headers: vec![(LOCATION, self.location)],
            body: to_json(&self.value)?,
            tag: self.tag,
        })
    }
}

impl<T: Serialize + JsonSchema> ApiReply for Page<T> {
    fn shape(generator: &mut SchemaGenerator) -> ReplyShape {
        ReplyShape {
            status: StatusCode::OK,
            schema: Some(generator.subschema_for::<PageView<T>>()),
            headers: &[LINK],
        }
    }

    /// The address of the next page is in a `Link` (RFC 8288), too.
    fn into_response(self) -> Result<ApiResponse, ApiProblem> {
        let link = self.next.as_ref();
        let link = link.map(|next| (LINK, format!("<{}>; rel=\"next\"", next.url)));
        let view = PageView {
            items: self.items,
            next: self.next.map(|next| next.cursor),
        };
        Ok(ApiResponse {
            status: StatusCode::OK,
            headers: link.into_iter().collect(),
            body: to_json(&view)?,
            tag: None,
        })
    }
}

impl ApiReply for NoContent {
    fn shape(_: &mut SchemaGenerator) -> ReplyShape {
        ReplyShape {
            status: StatusCode::NO_CONTENT,
            schema: None,
            headers: &[],
        }
    }

    fn into_response(self) -> Result<ApiResponse, ApiProblem> {
        Ok(ApiResponse {
            status: StatusCode::NO_CONTENT,
            headers: Vec::new(),
            body: Value::Null,
            tag: None,
        })
    }
}

fn to_json(value: &impl Serialize) -> Result<Value, ApiProblem> {
    serde_json::to_value(value).map_err(ApiProblem::internal)
}
