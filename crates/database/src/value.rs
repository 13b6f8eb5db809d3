//! Values of statements and of columns, which both kinds of database have.

/// A value that a statement binds, or that a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseValue<'a> {
    /// None.
    Null,
    /// A truth value. In SQLite it is the number 0 or 1.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// What a statement can bind: see [`params!`](crate::params).
pub trait ToValue {
    /// The value. A number that is too large for a database becomes the largest one.
    fn to_value(&self) -> DatabaseValue<'_>;
}

/// What can be read from a column.
pub trait FromValue: Sized {
    /// What the value means, or `None` if it has another type.
    fn from_value(value: DatabaseValue<'_>) -> Option<Self>;
}

/// The values of a statement's `?1`, `?2`, …, as a slice of [`DatabaseValue`]: `params![name, 7]`.
///
/// They are borrowed, so the macro belongs into the call.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::ToValue::to_value(&$value)),*] as &[$crate::DatabaseValue<'_>]
    };
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> DatabaseValue<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> DatabaseValue<'_> {
        self.as_ref().map_or(DatabaseValue::Null, ToValue::to_value)
    }
}

impl ToValue for bool {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Boolean(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Blob(self)
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> DatabaseValue<'_> {
        DatabaseValue::Blob(self)
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl ToValue for $integer {
            fn to_value(&self) -> DatabaseValue<'_> {
                DatabaseValue::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }

        impl FromValue for $integer {
            fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
                match value {
                    DatabaseValue::Integer(number) => number.try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integers!(i32, i64, u32, u64, usize);

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        match value {
            DatabaseValue::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        match value {
            DatabaseValue::Boolean(value) => Some(value),
            DatabaseValue::Integer(number) => Some(number != 0),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        match value {
            DatabaseValue::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        match value {
            DatabaseValue::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        match value {
            DatabaseValue::Blob(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_bound() {
        let bytes = [7; 4];
        let values = params![1_u32, "text", bytes, true, None::<i64>, u64::MAX];
        assert_eq!(u32::from_value(values[0]), Some(1));
        assert_eq!(String::from_value(values[1]), Some("text".to_owned()));
        assert_eq!(<[u8; 4]>::from_value(values[2]), Some(bytes));
        assert_eq!(bool::from_value(values[3]), Some(true));
        assert_eq!(Option::<i64>::from_value(values[4]), Some(None));
        assert_eq!(i64::from_value(values[5]), Some(i64::MAX));
    }

    #[test]
    fn a_value_of_another_type_is_not_converted() {
        assert_eq!(i64::from_value(DatabaseValue::Text("1")), None);
        assert_eq!(u32::from_value(DatabaseValue::Integer(-1)), None);
        assert_eq!(<[u8; 4]>::from_value(DatabaseValue::Blob(&[7; 3])), None);
        assert_eq!(String::from_value(DatabaseValue::Null), None);
    }
}
