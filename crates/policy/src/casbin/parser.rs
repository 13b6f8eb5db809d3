//! Reading an expression, with govaluate's operators and Casbin's functions.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::error::{ExpressionError, MAX_NESTING};
use super::expression::Expression;
use super::function::MatcherFunction;
use super::lexer::{Word, words};
use super::operand::Operand;
use super::operator::{Operator, Prefix};

/// What an expression may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownNames<'a> {
    /// The columns of a request and of a policy line. Of two with one name, the last counts.
    pub(super) request: &'a [String],
    pub(super) policy: &'a [String],
    /// The role definitions: `g`, `g2`, …
    pub(super) roles: &'a [String],
    /// Whether `eval` may be called. What it evaluates may not call it again.
    pub(super) eval: bool,
}

/// Reads the expression `text`, in which `r.` and `p.` are written `r_` and `p_`.
///
/// All operators of a level are evaluated from the left. Where govaluate finds a mistake only when it
/// evaluates, or ignores what follows a complete expression, that is an error here.
pub(super) fn parse(text: &str, names: KnownNames<'_>) -> Result<Expression, ExpressionError> {
    let mut parser = Parser {
        words: words(text)?.into_iter().peekable(),
        names,
        nesting: 0,
    };
    let expression = parser.expression(0)?;
    match parser.words.next() {
        None => Ok(expression),
        Some(Word::Comma) => Err(ExpressionError::List),
        Some(_) => Err(ExpressionError::UnopenedParenthesis),
    }
}

struct Parser<'a> {
    words: Peekable<IntoIter<Word>>,
    names: KnownNames<'a>,
    nesting: usize,
}

impl Parser<'_> {
    /// An expression of operators of `level` and above.
    fn expression(&mut self, level: u8) -> Result<Expression, ExpressionError> {
        let mut left = self.operand()?;
        while let Some((operator, found)) = self.operator()?
            && found >= level
        {
            self.words.next();
            let right = match operator {
                Operator::In => self.searched_list()?,
                _ => self.expression(found + 1)?,
            };
            left = left.then(operator, right);
        }
        Ok(left)
    }

    /// The operator that follows an operand, if one does. It is not taken.
    fn operator(&mut self) -> Result<Option<(Operator, u8)>, ExpressionError> {
        match self.words.peek() {
            None | Some(Word::Close | Word::Comma) => Ok(None),
            Some(Word::Symbol(symbol)) => match Operator::of(symbol) {
                Some(found) => Ok(Some(found)),
                None => Err(ExpressionError::Symbol(symbol.clone())),
            },
            Some(_) => Err(ExpressionError::NoOperator),
        }
    }

    fn operand(&mut self) -> Result<Expression, ExpressionError> {
        match self.words.next() {
            Some(Word::Number(number)) => Ok(Expression::Literal(Operand::Number(number))),
            Some(Word::Bool(flag)) => Ok(Expression::Literal(Operand::Bool(flag))),
            Some(Word::Text(text)) => Ok(Expression::Literal(Operand::Text(text.into()))),
            Some(Word::Name(name)) if self.words.peek() == Some(&Word::Open) => self.call(&name),
            Some(Word::Name(name)) => self.column(name),
            Some(Word::Open) => {
                let mut list = self.list()?;
                match (list.pop(), list.is_empty()) {
                    (Some(expression), true) => Ok(expression),
                    (None, _) => Err(ExpressionError::NoOperand),
                    (Some(_), false) => Err(ExpressionError::List),
                }
            }
            Some(Word::Symbol(symbol)) => self.prefixed(symbol),
            Some(Word::Close | Word::Comma) | None => Err(ExpressionError::NoOperand),
        }
    }

    fn prefixed(&mut self, symbol: String) -> Result<Expression, ExpressionError> {
        let Some(prefix) = Prefix::of(&symbol) else {
            return Err(match Operator::of(&symbol) {
                Some(_) => ExpressionError::NoOperand,
                None => ExpressionError::Symbol(symbol),
            });
        };
        match self.words.peek() {
            Some(Word::Symbol(_) | Word::Text(_)) => Err(ExpressionError::Prefix(prefix.written())),
            _ => Ok(Expression::Prefix(prefix, Box::new(self.operand()?))),
        }
    }

    fn column(&self, name: String) -> Result<Expression, ExpressionError> {
        let place = |columns: &[String], column| columns.iter().rposition(|known| known == column);
        let found = match (name.strip_prefix("r_"), name.strip_prefix("p_")) {
            (Some(column), _) => place(self.names.request, column).map(Expression::Request),
            (_, Some(column)) => place(self.names.policy, column).map(Expression::Policy),
            (None, None) => None,
        };
        found.ok_or_else(|| {
            let is_column = name.starts_with("r_") || name.starts_with("p_");
            let written = if is_column {
                name.replacen('_', ".", 1)
            } else {
                name
            };
            ExpressionError::Name(written)
        })
    }

    fn call(&mut self, name: &str) -> Result<Expression, ExpressionError> {
        self.words.next();
        let arguments = self.list()?;
        let count = arguments.len();
        let wrong = |expected| ExpressionError::Arguments {
            function: name.to_owned(),
            expected,
            found: count,
        };
        if name == "eval" {
            return match arguments.as_slice() {
                [_] if !self.names.eval => Err(ExpressionError::NestedEval),
                [Expression::Policy(column)] => Ok(Expression::Eval(*column)),
                _ => Err(ExpressionError::EvalArgument),
            };
        }
        if let Some(roles) = self.names.roles.iter().position(|known| known == name) {
            return match count {
                2 | 3 => Ok(Expression::HasRole(roles, arguments)),
                _ => Err(wrong("2 or 3")),
            };
        }
        match MatcherFunction::of(name) {
            Some(function) if function.arguments() == count => {
                Ok(Expression::Call(function, arguments))
            }
            Some(function) if function.arguments() == 2 => Err(wrong("2")),
            Some(_) => Err(wrong("3")),
            None => Err(ExpressionError::Function(name.to_owned())),
        }
    }

    /// What `in` searches.
    fn searched_list(&mut self) -> Result<Expression, ExpressionError> {
        if self.words.next() != Some(Word::Open) {
            return Err(ExpressionError::NoList);
        }
        let list = self.list()?;
        if list.len() < 2 {
            return Err(ExpressionError::NoList);
        }
        Ok(Expression::List(list))
    }

    /// Expressions with commas between them, up to the parenthesis that closes them.
    fn list(&mut self) -> Result<Vec<Expression>, ExpressionError> {
        if self.words.next_if_eq(&Word::Close).is_some() {
            return Ok(Vec::new());
        }
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(ExpressionError::TooDeep);
        }
        let mut list = Vec::new();
        loop {
            list.push(self.expression(0)?);
            match self.words.next() {
                Some(Word::Comma) => {}
                Some(Word::Close) => break,
                _ => return Err(ExpressionError::UnclosedParenthesis),
            }
        }
        self.nesting -= 1;
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expression, ExpressionError> {
        let columns = ["a".to_owned(), "b".to_owned()];
        let names = KnownNames {
            request: &columns,
            policy: &columns,
            roles: &["g".to_owned()],
            eval: true,
        };
        parse(text, names)
    }

    #[test]
    fn operators_of_a_level_are_a_chain() {
        let chain = |text| match read(text) {
            Ok(Expression::Chain(_, more)) => more.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(chain("1 - 2 - 3"), 2);
        assert_eq!(chain("1 - 2 * 3"), 1);
        assert_eq!(chain("1 * 2 - 3 * 4 + 5"), 2);
        assert_eq!(chain("true && true || true && true"), 1);
        assert_eq!(read("(1 - 2) - 3"), read("1 - 2 - 3"));
        assert_ne!(read("1 - (2 - 3)"), read("1 - 2 - 3"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", ExpressionError::NoOperand),
            ("(r_a == p_a) (r_b == p_b)", ExpressionError::NoOperator),
            ("r_a == ", ExpressionError::NoOperand),
            ("(r_a ==)", ExpressionError::NoOperand),
            ("== r_a", ExpressionError::NoOperand),
            (
                "r_a == p_a &&! r_b",
                ExpressionError::Symbol("&&!".to_owned()),
            ),
            ("!!true", ExpressionError::Symbol("!!".to_owned())),
            ("! !true", ExpressionError::Prefix("!")),
            ("-'x'", ExpressionError::Prefix("-")),
            ("((r_a)", ExpressionError::UnclosedParenthesis),
            ("r_a)", ExpressionError::UnopenedParenthesis),
            ("r_a, r_b", ExpressionError::List),
            ("(r_a, r_b)", ExpressionError::List),
            ("r_a in ('x')", ExpressionError::NoList),
            ("r_a in p_a", ExpressionError::NoList),
            ("r_c", ExpressionError::Name("r.c".to_owned())),
            ("a", ExpressionError::Name("a".to_owned())),
            ("h(r_a)", ExpressionError::Function("h".to_owned())),
            ("eval(r_a)", ExpressionError::EvalArgument),
            ("eval(p_a, p_b)", ExpressionError::EvalArgument),
            ("1 ] 2", ExpressionError::Symbol("]".to_owned())),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn functions_have_so_many_arguments() {
        let message = |text| read(text).unwrap_err().to_string();
        assert_eq!(message("g(r_a)"), "`g` needs 2 or 3 arguments, and has 1");
        assert_eq!(
            message("keyGet2(r_a, p_a)"),
            "`keyGet2` needs 3 arguments, and has 2"
        );
        assert_eq!(
            message("ipMatch()"),
            "`ipMatch` needs 2 arguments, and has 0"
        );
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
        assert!(read(&nested(MAX_NESTING)).is_ok());
        assert_eq!(
            read(&nested(MAX_NESTING + 1)),
            Err(ExpressionError::TooDeep)
        );
        assert_eq!(read(&"(".repeat(100_000)), Err(ExpressionError::TooDeep));
        let long = vec!["r_a == 'x'"; 20_000].join(" || ");
        assert!(read(&long).is_ok(), "length has none");
    }
}
