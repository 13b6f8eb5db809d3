//! The operators of an expression.

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Not,
    Negate,
    Complement,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Then,
    Else,
    Coalesce,
    Or,
    And,
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    MatchesNot,
    In,
    BitOr,
    BitAnd,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// The operators between two operands as they are written, with their levels: a higher one binds
/// closer.
pub(super) const OPERATORS: [(&str, Operator, u8); 25] = [
    ("?", Operator::Then, 1),
    (":", Operator::Else, 1),
    ("??", Operator::Coalesce, 1),
    ("||", Operator::Or, 2),
    ("&&", Operator::And, 3),
    ("==", Operator::Equal, 4),
    ("!=", Operator::Different, 4),
    ("<", Operator::Less, 4),
    ("<=", Operator::LessOrEqual, 4),
    (">", Operator::Greater, 4),
    (">=", Operator::GreaterOrEqual, 4),
    ("=~", Operator::Matches, 4),
    ("!~", Operator::MatchesNot, 4),
    ("in", Operator::In, 4),
    ("|", Operator::BitOr, 5),
    ("&", Operator::BitAnd, 5),
    ("^", Operator::BitXor, 5),
    ("<<", Operator::ShiftLeft, 6),
    (">>", Operator::ShiftRight, 6),
    ("+", Operator::Add, 7),
    ("-", Operator::Subtract, 7),
    ("*", Operator::Multiply, 8),
    ("/", Operator::Divide, 8),
    ("%", Operator::Remainder, 8),
    ("**", Operator::Power, 9),
];

impl Operator {
    pub(super) fn of(text: &str) -> Option<(Self, u8)> {
        let found = OPERATORS.iter().find(|(written, ..)| *written == text);
        found.map(|(_, operator, level)| (*operator, *level))
    }

    pub(super) fn written(self) -> &'static str {
        self.row().0
    }

    pub(super) fn level(self) -> u8 {
        self.row().2
    }

    fn row(self) -> (&'static str, Self, u8) {
        let found = OPERATORS.iter().find(|(_, operator, _)| *operator == self);
        found.copied().unwrap_or(("", self, 0))
    }
}

impl Prefix {
    pub(super) fn of(text: &str) -> Option<Self> {
        match text {
            "!" => Some(Self::Not),
            "-" => Some(Self::Negate),
            "~" => Some(Self::Complement),
            _ => None,
        }
    }

    pub(super) fn written(self) -> &'static str {
        match self {
            Self::Not => "!",
            Self::Negate => "-",
            Self::Complement => "~",
        }
    }
}
