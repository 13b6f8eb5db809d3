//! What is wrong with a model or a policy, and what can go wrong with a request.

use std::fmt;

use super::effect::EFFECTS;
use crate::glob::GlobError;
use crate::regex::RegexError;
use common::IpNetworkError;

/// How deep parentheses, calls and lists may nest in an expression.
pub const MAX_NESTING: usize = 64;

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CasbinFile {
    /// The model: an INI file.
    Model,
    /// The policy: a CSV file.
    Policy,
}

impl fmt::Display for CasbinFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Policy => "policy",
        })
    }
}

/// A line that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the {file}")]
pub struct CasbinError {
    /// Which file.
    pub file: CasbinFile,
    /// Which line of it, counted from 1.
    pub line: usize,
    /// What is wrong with it, and what to write instead.
    #[source]
    pub problem: CasbinProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CasbinProblem {
    /// A line of the model without a value.
    #[error("expected `NAME = VALUE`, or `[SECTION]` alone on its line")]
    NoDefinition,
    /// A value of the model that is not there.
    #[error("`{name} = …` is missing in the section [{section}]")]
    Missing {
        /// The section it belongs to.
        section: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The request has another number of columns than it has values.
    #[error("a request has {expected} values, and this names {found}")]
    RequestColumns {
        /// How many values a request has.
        expected: usize,
        /// How many are named.
        found: usize,
    },
    /// A role definition of another form.
    #[error("a role definition is `_, _`, or `_, _, _` with a domain")]
    RoleDefinition,
    /// An unknown policy effect.
    #[error("unknown policy effect: write one of `{}`", known_effects())]
    Effect,
    /// Lines are to be ordered by the roles of their subjects, and there are none.
    #[error("subjectPriority needs `g = _, _` in the section [role_definition]")]
    NoRoles,
    /// A line of the policy that cannot be divided into columns.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// A line of the policy whose first column is not in the model.
    #[error("unknown kind of line {kind:?}: the model has {}", .known.join(", "))]
    UnknownKind {
        /// The first column.
        kind: String,
        /// What the model has.
        known: Vec<String>,
    },
    /// A line of the policy with another number of columns than the model says.
    #[error("`{kind}` has {expected} columns, and this line has {found}")]
    Columns {
        /// The kind of line.
        kind: String,
        /// How many columns the model has.
        expected: usize,
        /// How many the line has.
        found: usize,
    },
    /// A priority that is not a number.
    #[error("the priority {0:?} is not a whole number")]
    Priority(String),
    /// Roles that have each other, when subjects are to be ordered by them.
    #[error("{0:?} is among its own roles, so subjectPriority cannot order them")]
    RoleCircle(String),
    /// A matcher, or an expression in the policy, that cannot be read.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A matcher that cannot be evaluated, as it is or with this line of the policy.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
}

fn known_effects() -> String {
    let known = EFFECTS.iter();
    let known: Vec<String> = known
        .map(|(text, _)| text.replace("p_eft", "p.eft"))
        .collect();
    known.join("`, `")
}

/// What is wrong with the quotes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// A quote in a column that does not begin with one.
    #[error(
        "a quote in the middle of a column: put quotes around the column, and write `\"\"` for each in it"
    )]
    BareQuote,
    /// A column in quotes that has no end.
    #[error("a quote is not closed on this line: add the quote, and write `\"\"` for each in it")]
    UnclosedQuote,
    /// Something behind the quote that ends a column.
    #[error("text behind a closing quote: write the comma directly behind it")]
    AfterQuote,
}

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// A text has no end.
    #[error("a text in quotes is not closed; both ' and \" end one, and # and ; begin a comment")]
    UnclosedText,
    /// A name in brackets has no end.
    #[error("a `[` is not closed")]
    UnclosedBracket,
    /// The last character is a backslash.
    #[error("it ends with a backslash")]
    Backslash,
    /// Digits and dots that are not a number.
    #[error("`{0}` is not a number")]
    Number(String),
    /// Characters that are not an operator, often two operators without a space.
    #[error("`{0}` is not an operator: put a space between two operators")]
    Symbol(String),
    /// A field of a column.
    #[error("`{0}`: columns are texts and have no fields")]
    Field(String),
    /// A name that is neither of a column nor of a function.
    #[error(
        "`{0}` is not a column: columns are `r.NAME` and `p.NAME`, with the names of the model"
    )]
    Name(String),
    /// An unknown function.
    #[error("unknown function `{0}`: `g` and `g2` are functions if the model defines such roles")]
    Function(String),
    /// A function with another number of arguments.
    #[error("`{function}` needs {expected} arguments, and has {found}")]
    Arguments {
        /// Its name.
        function: String,
        /// How many it needs.
        expected: &'static str,
        /// How many it has.
        found: usize,
    },
    /// `eval` of something that is not a column of the policy.
    #[error("`eval` takes a column of the policy, as `eval(p.rule)`")]
    EvalArgument,
    /// `eval` in an expression that is evaluated by it.
    #[error("an expression in the policy cannot call `eval`")]
    NestedEval,
    /// Nothing where a value is needed.
    #[error("a value is missing before or behind an operator, a comma or a parenthesis")]
    NoOperand,
    /// Two values without an operator between them. (Casbin ignores what follows.)
    #[error("an operator is missing between two values")]
    NoOperator,
    /// An operator in front of something it does not take.
    #[error("`{0}` cannot stand before a text or another operator: use parentheses")]
    Prefix(&'static str),
    /// Values with commas where one value is needed.
    #[error("values with commas between them can only follow `in`, or be arguments")]
    List,
    /// `in` without several values.
    #[error("`in` needs at least two values in parentheses; for one, write `==`")]
    NoList,
    /// A parenthesis without an end.
    #[error("a `(` is not closed")]
    UnclosedParenthesis,
    /// A parenthesis without a beginning.
    #[error("a `)` closes nothing")]
    UnopenedParenthesis,
    /// Parentheses or calls are nested too deep.
    #[error("it nests more than {} deep", MAX_NESTING)]
    TooDeep,
}

/// Why an expression has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// An operator or a function got a value that it does not take.
    #[error("`{used_by}` cannot use {operand}")]
    Operand {
        /// The operator, or the function.
        used_by: String,
        /// The value.
        operand: String,
    },
    /// The matcher's result is neither true nor false.
    #[error("the matcher must be true or false, and is {0}")]
    Result(String),
    /// A pattern that is not a regular expression.
    #[error("`{used_by}`: the regular expression {pattern:?} is malformed: {error}")]
    Regex {
        /// The function, or the operator.
        used_by: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it, after the function has translated it.
        error: RegexError,
    },
    /// A pattern of `keyMatch4` with parentheses.
    #[error("`keyMatch4`: the pattern {0:?} has parentheses, which count as names in braces")]
    Groups(String),
    /// A malformed glob.
    #[error("`globMatch`: the pattern {pattern:?} is malformed: {error}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        error: GlobError,
    },
    /// A text that is not an address.
    #[error("`ipMatch`: {0:?} is not an IP address")]
    Address(String),
    /// A text that is not an address or network.
    #[error("`ipMatch`: {0}")]
    Network(IpNetworkError),
    /// Labels that cannot be read. (`docker_auth` lets them match every account.)
    #[error(
        "`labelMatch`: {0:?} is not an object of lists of texts, as {{\"group\":[\"dev\"]}}; leave it empty to match every account"
    )]
    Labels(String),
    /// `eval` without a line of the policy.
    #[error("`eval` has nothing to evaluate: the policy has no line")]
    NoLine,
    /// A request with another number of values.
    #[error("the request has {found} values, and the model names {expected}")]
    Request {
        /// How many the model names.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

impl EvaluationError {
    /// The same of an operator that does what a function does.
    pub(super) fn used_by(self, operator: &'static str) -> Self {
        match self {
            Self::Regex { pattern, error, .. } => Self::Regex {
                used_by: operator,
                pattern,
                error,
            },
            other => other,
        }
    }
}
