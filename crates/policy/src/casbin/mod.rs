//! Casbin policies: a model, which says how a request is matched with lines, and the lines.
//!
//! The model is an INI file. It names the columns of a request (`r = account, name, action`) and of
//! a policy line (`p = account, name, action`), the roles (`g = _, _`), how the matching lines are
//! combined (the *policy effect*), and the *matcher*: an expression of both (`r.account ==
//! p.account && keyMatch(r.name, p.name)`). The policy is a CSV file of such lines.
//!
//! Files are written for Casbin 2.55, which `docker_auth` uses, so they mean what they mean there:
//! operators, functions and quirks are those of Casbin and of govaluate, its library for
//! expressions. Recorded answers of Casbin test that (`tests/vectors/casbin.json`). The difference is
//! when a mistake is found. There, a wrong expression or address makes each decision an error, and
//! an error denies without a word. Here, [`Enforcer::compile`] evaluates the matcher for each line
//! with a request that is not known yet, and refuses what can fail.
//!
//! - `ini` and `csv` read the files; `model` and `lines` say what is in them.
//! - `rewriting`, `lexer` and `parser` make an `expression` of a matcher.
//! - `evaluation` evaluates it, with `operand`s, `operator`s, `function`s, their `patterns`,
//!   and `roles`.
//! - `effect` and `order` combine the lines that match; `enforcer` is the whole.
//!
//! ```
//! use policy::casbin::Enforcer;
//!
//! let model = "
//! [request_definition]
//! r = account, name, action
//! [policy_definition]
//! p = account, name, action
//! [policy_effect]
//! e = some(where (p.eft == allow))
//! [matchers]
//! m = r.account == p.account && keyMatch(r.name, p.name) && r.action == p.action
//! ";
//! let enforcer = Enforcer::compile(model, "p, alice, team/*, pull\n", 3)?;
//! let enforcement = enforcer.enforce(&["alice", "team/app", "pull"]).unwrap();
//! assert!(enforcement.allowed);
//! assert_eq!(enforcement.line, Some(1));
//! # Ok::<(), Vec<policy::casbin::CasbinError>>(())
//! ```

mod csv;
mod effect;
mod enforcer;
mod error;
mod evaluation;
mod expression;
mod function;
mod ini;
mod key_pattern;
mod lexer;
mod lines;
mod model;
mod number;
mod operand;
mod operator;
mod order;
mod parser;
mod patterns;
mod rewriting;
mod roles;
mod warning;

pub use enforcer::{EnforceError, Enforcement, Enforcer};
pub use error::{
    CasbinError, CasbinFile, CasbinProblem, CsvError, EvaluationError, ExpressionError, MAX_NESTING,
};
pub use roles::MAX_ROLE_CHAIN;
pub use warning::{CasbinWarning, CasbinWarningKind};
