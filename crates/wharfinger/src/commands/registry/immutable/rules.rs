//! The rules of a server: in its database, or over its API.

use api::{ImmutableTagListView, ImmutableTagRuleView};
use client::{ApiClient, ApiError, ApiRoute};
use database::Precondition;
use http::StatusCode;
use immutable_tags::{ImmutableTagError, NOTICED_WITHIN, NewImmutableTagRule};
use serde_json::json;
use tag_rules::{RepositoryPattern, TagPattern};

use crate::commands::administrator::administrator;
use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::failure::{Failure, FailureKind};

const READ: &[(&str, &str)] = &[("immutable-tags", "read")];
const WRITE: &[(&str, &str)] = &[("immutable-tags", "write")];

/// The rules of a server.
pub(super) enum ImmutableTagAdministration {
    /// Those in its database, which the configuration names.
    Database(Box<ManagedDatabase>),
    /// Those that its API has.
    Api(Box<ApiClient>),
}

impl ImmutableTagAdministration {
    pub(super) async fn of(server: &ManagedServerArguments) -> Result<Self, Failure> {
        Ok(match server.managed().await? {
            ManagedServer::Configured(file) => {
                Self::Database(Box::new(ManagedDatabase::open(file)?))
            }
            ManagedServer::Remote(client) => Self::Api(client),
        })
    }

    pub(super) async fn list(&self) -> Result<Vec<ImmutableTagRuleView>, Failure> {
        match self {
            Self::Database(managed) => {
                let listed = managed.immutable_tags().list().await;
                let listed = listed.map_err(|error| refused(&error))?;
                Ok(listed.iter().map(ImmutableTagRuleView::from).collect())
            }
            Self::Api(api) => {
                let route = ApiRoute::new(&["immutable-tags"], READ);
                let listed = api.get_list::<ImmutableTagListView>(route).await?;
                Ok(listed.object.items)
            }
        }
    }

    pub(super) async fn add(
        &self,
        repository: &RepositoryPattern,
        tag: &TagPattern,
        except: &[TagPattern],
    ) -> Result<ImmutableTagRuleView, Failure> {
        match self {
            Self::Database(managed) => {
                let rule = NewImmutableTagRule {
                    repository: repository.clone(),
                    tag: tag.clone(),
                    except: except.to_vec(),
                };
                let list = managed.immutable_tags();
                let (by, any) = (administrator(), Precondition::Unconditional);
                let added = list
                    .add(&by, rule, any)
                    .await
                    .map_err(|error| refused(&error))?;
                // From now on, a running server obeys it.
                tokio::time::sleep(NOTICED_WITHIN).await;
                Ok(ImmutableTagRuleView::from(&added))
            }
            Self::Api(api) => {
                let except: Vec<&str> = except.iter().map(TagPattern::as_str).collect();
                let new = json!({
                    "repository": repository.as_str(), "tag": tag.as_str(), "except": except,
                });
                let route = ApiRoute::new(&["immutable-tags"], WRITE);
                Ok(api.create(route, &new).await?)
            }
        }
    }

    pub(super) async fn remove(&self, number: i64) -> Result<(), Failure> {
        match self {
            Self::Database(managed) => {
                let list = managed.immutable_tags();
                let (by, any) = (administrator(), Precondition::Unconditional);
                let removed = list.remove(&by, number, any).await;
                removed.map_err(|error| refused(&error))
            }
            Self::Api(api) => {
                let route = ApiRoute::new(&["immutable-tags", &number.to_string()], WRITE);
                let removed = api.delete(route, None).await;
                removed.map_err(|error| match &error {
                    ApiError::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
                        refused(&ImmutableTagError::Unknown(number))
                    }
                    _ => error.into(),
                })
            }
        }
    }
}

/// What to do when an operation failed.
pub(super) fn refused(error: &ImmutableTagError) -> Failure {
    match error {
        ImmutableTagError::Database(error) => failed(error),
        ImmutableTagError::Unknown(_) => Failure::new(FailureKind::NotFound, error.to_string())
            .hint("`wharfinger registry immutable list` shows the numbers"),
        ImmutableTagError::Unreadable { number, .. } => {
            Failure::system("the rules cannot be listed")
                .caused_by(error)
                .hint(format!(
                    "`wharfinger registry immutable remove FILE {number}` removes it"
                ))
        }
        _ => Failure::usage(error.to_string()),
    }
}
