//! Users in a database.

use std::sync::Arc;

use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, Identity,
    LoginSource, PasswordCheck, PasswordVerifier, Proof, Recheck, StoredHash, UserWithHash,
    can_be_looked_up, costly_hashes,
};
use policy::Subject;

use crate::connection::QueryRun;
use crate::database::{ProbedRows, SqlDatabase};
use crate::error::SqlError;
use crate::labels::{self, LabelsError};
use crate::query::SqlQuery;
use crate::row::{Cell, WantedColumn};

const COLUMNS: &[WantedColumn] = &[
    WantedColumn::required("username"),
    WantedColumn::required("password_hash"),
    WantedColumn::optional("labels"),
];

/// Users of a table, or of a query of the operator's own.
///
/// The account is the name that the database has. It may find `ann` for `Ann`, but rules compare
/// names exactly.
pub struct SqlUsers {
    name: &'static str,
    database: SqlDatabase,
    query: SqlQuery,
    verifier: Arc<PasswordVerifier>,
}

/// A row of the query.
struct User {
    name: String,
    hash: String,
    labels: Option<String>,
}

/// What is wrong with the rows of a user.
#[derive(Debug, thiserror::Error)]
enum UserError {
    #[error("the query found {0} users for one account: it must find one, or none")]
    Several(usize),
    #[error("a user has no name, or its name is not text")]
    Name,
    #[error("the password_hash of the user {0:?} is not text")]
    Hash(String),
    #[error("the labels of the user {account:?} cannot be read")]
    Labels {
        account: String,
        source: LabelsError,
    },
}

impl SqlUsers {
    /// A backend for the section `name`, whose users `query` finds in `database`.
    #[must_use]
    pub fn new(
        name: &'static str,
        database: SqlDatabase,
        query: SqlQuery,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self {
            name,
            database,
            query,
            verifier,
        }
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password() else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        // As in docker_auth: no user has the empty password.
        if credentials.password.is_empty() {
            return Ok(AuthenticationOutcome::NoMatch);
        }
        let Some(user) = self.find(&credentials.account).await? else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let check = self.hash(&user).check(&self.verifier, proof, source);
        Ok(match check.await? {
            PasswordCheck::Mismatch(rejection) => AuthenticationOutcome::Rejected(rejection),
            PasswordCheck::Match(credential) => AuthenticationOutcome::Accepted(
                Identity::new(self.subject(user)?).with_credential(credential),
            ),
        })
    }

    /// The user that the database finds under `account`.
    async fn find(&self, account: &str) -> Result<Option<User>, BackendError> {
        // An empty name is the anonymous account.
        if account.is_empty() || !can_be_looked_up(account) {
            return Ok(None);
        }
        let rows = self.database.fetch(self.query_run(account)).await;
        self.only_user(rows.map_err(|error| self.failed(error))?)
    }

    fn query_run<'a>(&'a self, account: &'a str) -> QueryRun<'a> {
        QueryRun {
            query: &self.query,
            account,
            columns: COLUMNS,
        }
    }

    /// The user of the rows that were found for one account.
    fn only_user(&self, rows: Vec<Vec<Cell>>) -> Result<Option<User>, BackendError> {
        if rows.len() > 1 {
            return Err(self.broken(UserError::Several(rows.len())));
        }
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        self.user(row).map(Some).map_err(|error| self.broken(error))
    }

    fn user(&self, row: Vec<Cell>) -> Result<User, UserError> {
        let mut cells = row.into_iter();
        let mut next = || cells.next().unwrap_or(Cell::Null);
        let (name, hash, labels) = (next(), next(), next());
        let name = match name {
            Cell::Text(name) if !name.is_empty() => name,
            Cell::Integer(number) => number.to_string(),
            Cell::Text(_) | Cell::Null => return Err(UserError::Name),
        };
        let hash = match hash {
            Cell::Text(hash) => hash,
            // A user without a password: nothing matches it.
            Cell::Null => String::new(),
            Cell::Integer(_) => return Err(UserError::Hash(name)),
        };
        let labels = match labels {
            Cell::Text(labels) => Some(labels),
            Cell::Null => None,
            Cell::Integer(number) => Some(number.to_string()),
        };
        Ok(User { name, hash, labels })
    }

    /// Users whose hash may cost too much, as far as a query can tell.
    async fn costly_users(&self) -> Result<Vec<UserWithHash>, BackendError> {
        let Some(query) = self.query.of_costly_users() else {
            return Ok(Vec::new());
        };
        let run = QueryRun {
            query: &query,
            account: "",
            columns: COLUMNS,
        };
        let rows = self.database.fetch(run).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        let users = rows.into_iter().filter_map(|row| self.user(row).ok());
        let users = users.map(|User { name, hash, .. }| UserWithHash {
            name,
            hash: hash.into(),
        });
        Ok(users.collect())
    }

    fn hash<'a>(&self, user: &'a User) -> StoredHash<'a> {
        StoredHash {
            backend: self.name,
            account: &user.name,
            text: &user.hash,
        }
    }

    fn subject(&self, user: User) -> Result<Subject, BackendError> {
        let User { name, labels, .. } = user;
        match labels::parse(labels.as_deref().unwrap_or_default()) {
            Ok(labels) => Ok(Subject {
                account: name,
                labels,
            }),
            Err(source) => Err(self.broken(UserError::Labels {
                account: name,
                source,
            })),
        }
    }

    async fn look_again(&self, account: &str) -> Result<Recheck, BackendError> {
        // Another spelling is not the account's name, so no session has it.
        let user = self
            .find(account)
            .await?
            .filter(|user| user.name == account);
        let Some(user) = user else {
            return Ok(Recheck::NoMatch);
        };
        Ok(Recheck::Present {
            credentials: self.hash(&user).credentials(),
            subject: self.subject(user)?,
        })
    }

    fn failed(&self, error: SqlError) -> BackendError {
        match error.may_pass() {
            true => BackendError::unavailable(self.name, error),
            false => BackendError::broken(self.name, error),
        }
    }

    fn broken(&self, error: UserError) -> BackendError {
        BackendError::broken(self.name, error)
    }
}

impl Authenticator for SqlUsers {
    fn name(&self) -> &'static str {
        self.name
    }

    fn hint(&self, account: &str) -> AccountHint {
        match account {
            "" => AccountHint::NoMatch,
            _ => AccountHint::NeedsProof,
        }
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(proof, source))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(self.look_again(account))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async {
            // No user has this name: it has more characters than the column of docker_auth.
            let unknown = "-".repeat(200);
            let probed = self.database.probe(self.query_run(&unknown)).await;
            match probed.map_err(|error| self.failed(error))? {
                ProbedRows::Rows(rows) => self.only_user(rows)?,
                ProbedRows::Missing(what) => return Ok(Some(what)),
            };
            let found = "the query for users works";
            Ok(Some(match costly_hashes(&self.costly_users().await?) {
                Some(costly) => format!("{found}; {costly}"),
                None => found.to_owned(),
            }))
        })
    }
}
