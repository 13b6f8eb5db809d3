//! The rules of a server: in its database, or over its API.

use accounts::{ListedRule, RuleDoubt, RuleListError, RulePlace, rule_document};
use api::{RuleListView, RuleView, RuleWarningView};
use client::{ApiClient, ApiError, ApiRoute, ProblemDetails};
use database::Precondition;
use http::StatusCode;
use policy::AclEntry;
use serde_json::{Value, json};

use crate::commands::administrator::administrator;
use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::failure::{Failure, FailureKind};

const READ: &[(&str, &str)] = &[("rules", "read")];
/// Commands show what a rule means among the others, so they read before they write.
const WRITE: &[(&str, &str)] = &[("rules", "read"), ("rules", "write")];

/// The rules of a server.
pub(super) enum RuleAdministration {
    /// Those in its database, which the configuration names.
    Database(Box<ManagedDatabase>),
    /// Those that its API has.
    Api(Box<ApiClient>),
}

impl RuleAdministration {
    pub(super) async fn of(server: &ManagedServerArguments) -> Result<Self, Failure> {
        Ok(match server.managed().await? {
            ManagedServer::Configured(file) => {
                Self::Database(Box::new(ManagedDatabase::with_accounts(file)?))
            }
            ManagedServer::Remote(client) => Self::Api(client),
        })
    }

    /// All of them, with what is probably not intended in them.
    pub(super) async fn list(&self) -> Result<RuleListView, Failure> {
        match self {
            Self::Database(managed) => {
                let listed = managed.rules().list().await;
                let listed = listed.map_err(|error| refused(&error))?;
                let mut warnings = doubts(managed, &listed)?;
                warnings.extend(shadow(managed).filter(|_| !listed.is_empty()));
                Ok(RuleListView {
                    items: listed.iter().map(RuleView::from).collect(),
                    next: None,
                    warnings,
                })
            }
            Self::Api(api) => {
                let listed = api.get_list(ApiRoute::new(&["rules"], READ)).await;
                Ok(listed?.object)
            }
        }
    }

    pub(super) async fn add(&self, entry: AclEntry, place: RulePlace) -> Result<RuleView, Failure> {
        match self {
            Self::Database(managed) => {
                let (rules, precondition) = (managed.rules(), Precondition::Unconditional);
                let added = rules
                    .add(&administrator(), entry, place, precondition)
                    .await;
                let added = added.map_err(|error| refused(&error))?;
                Ok(RuleView::from(&added))
            }
            Self::Api(api) => {
                let new = json!({"rule": rule_document(&entry), "place": document(place)});
                let added = api.create(ApiRoute::new(&["rules"], WRITE), &new).await;
                added.map_err(|error| refused_by_api(error, place_number(place)))
            }
        }
    }

    pub(super) async fn move_to(&self, number: i64, place: RulePlace) -> Result<RuleView, Failure> {
        match self {
            Self::Database(managed) => {
                let rules = managed.rules();
                let precondition = Precondition::Unconditional;
                let moved = rules
                    .move_to(&administrator(), number, place, precondition)
                    .await;
                let moved = moved.map_err(|error| refused(&error))?;
                Ok(RuleView::from(&moved))
            }
            Self::Api(api) => {
                let change = json!({ "place": document(place) });
                let moved = api.change(route(number), &change, None).await;
                moved.map_err(|error| refused_by_api(error, Some(number)))
            }
        }
    }

    pub(super) async fn remove(&self, number: i64) -> Result<(), Failure> {
        match self {
            Self::Database(managed) => {
                let (rules, precondition) = (managed.rules(), Precondition::Unconditional);
                let removed = rules.remove(&administrator(), number, precondition).await;
                removed.map_err(|error| refused(&error))
            }
            Self::Api(api) => {
                let removed = api.delete(route(number), None).await;
                removed.map_err(|error| refused_by_api(error, Some(number)))
            }
        }
    }
}

fn route(number: i64) -> ApiRoute {
    ApiRoute::new(&["rules", &number.to_string()], WRITE)
}

/// A place as the API reads it.
fn document(place: RulePlace) -> Value {
    match place {
        RulePlace::First => json!("first"),
        RulePlace::Last => json!("last"),
        RulePlace::Before(number) => json!({ "before": number }),
        RulePlace::After(number) => json!({ "after": number }),
    }
}

/// The rule that a place names.
fn place_number(place: RulePlace) -> Option<i64> {
    match place {
        RulePlace::First | RulePlace::Last => None,
        RulePlace::Before(number) | RulePlace::After(number) => Some(number),
    }
}

/// What is valid but probably not intended.
fn doubts(
    managed: &ManagedDatabase,
    rules: &[ListedRule],
) -> Result<Vec<RuleWarningView>, Failure> {
    let options = managed.config.accounts.map(|section| section.options);
    let doubts = RuleDoubt::all(rules, options.unwrap_or_default());
    let doubts = doubts.map_err(|error| refused(&error))?.into_iter();
    let warnings = doubts.map(|RuleDoubt { number, text }| RuleWarningView {
        number: Some(number),
        text,
    });
    Ok(warnings.collect())
}

/// That the configuration decides everything before the database is asked, if it does.
fn shadow(managed: &ManagedDatabase) -> Option<RuleWarningView> {
    let rules = managed.config.acl.as_ref()?;
    let rule = rules.acl.catch_all()?;
    Some(RuleWarningView {
        number: None,
        text: format!(
            "no request reaches the rules in the database: the rule at {} has no conditions, and \
             decides",
            rules.locations[rule]
        ),
    })
}

/// What to do when an operation failed.
fn refused(error: &RuleListError) -> Failure {
    match error {
        RuleListError::Database(error) => failed(error),
        RuleListError::Unknown(_) => Failure::new(FailureKind::NotFound, error.to_string())
            .hint("`wharfinger rule list` shows the numbers"),
        RuleListError::Unreadable { number, .. } => Failure::system("the rules cannot be listed")
            .caused_by(error)
            .hint(format!(
                "a newer wharfinger may have written it; `wharfinger rule remove FILE {number}` \
                 removes it"
            )),
        _ => Failure::usage("the rule is refused").caused_by(error),
    }
}

/// The same for what the API refused. `number` is that of the rule that it may not have.
fn refused_by_api(error: ApiError, number: Option<i64>) -> Failure {
    match (&error, number) {
        (ApiError::Refused { status, problem }, Some(number))
            if *status == StatusCode::NOT_FOUND || is_about_place(problem) =>
        {
            refused(&RuleListError::Unknown(number))
        }
        (ApiError::Refused { status, .. }, _) if *status == StatusCode::UNPROCESSABLE_ENTITY => {
            Failure::usage("the rule is refused").caused_by(&error)
        }
        _ => error.into(),
    }
}

/// Whether the rule before or after which another should be is not there.
fn is_about_place(problem: &ProblemDetails) -> bool {
    let mut errors = problem.errors.iter();
    errors.any(|error| error.pointer.starts_with("/place"))
}
