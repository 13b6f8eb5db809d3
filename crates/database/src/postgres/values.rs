//! Values as PostgreSQL has them. Its tables have the types bigint, text, bytea and boolean.

use std::borrow::Cow;
use std::error::Error;

use bytes::BytesMut;
use postgresql::Row;
use postgresql::types::{IsNull, ToSql, Type};

use crate::DatabaseValue;

/// A value is bound to a parameter of another type.
#[derive(Debug, thiserror::Error)]
#[error("a value of another type than {0} is bound to a parameter")]
struct ParameterTypeError(String);

impl ToSql for DatabaseValue<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let integer = match *self {
            DatabaseValue::Null => return Ok(IsNull::Yes),
            DatabaseValue::Text(text) if <&str as ToSql>::accepts(ty) => {
                let text: &str = &without_nul(text);
                return text.to_sql(ty, out);
            }
            DatabaseValue::Blob(bytes) if *ty == Type::BYTEA => return bytes.to_sql(ty, out),
            DatabaseValue::Boolean(value) if *ty == Type::BOOL => return value.to_sql(ty, out),
            DatabaseValue::Boolean(value) => i64::from(value),
            DatabaseValue::Integer(number) => number,
            DatabaseValue::Text(_) | DatabaseValue::Blob(_) => {
                return Err(ParameterTypeError(ty.name().to_owned()).into());
            }
        };
        match *ty {
            Type::INT8 => integer.to_sql(ty, out),
            Type::INT4 => i32::try_from(integer)?.to_sql(ty, out),
            Type::INT2 => i16::try_from(integer)?.to_sql(ty, out),
            _ => Err(ParameterTypeError(ty.name().to_owned()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// PostgreSQL has no NUL in a text, and refuses a statement with one. SQLite has, so stores do not look
/// for it. Nothing that is stored has the code point that stands for it, which is no character
/// (Unicode, "noncharacters"). So such a text is not found.
fn without_nul(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{10ffff}")),
        false => Cow::Borrowed(text),
    }
}

/// The value of a column; `None` if it is of a type that no table has.
pub(crate) fn column_value(row: &Row, column: usize) -> Option<DatabaseValue<'_>> {
    let ty = row.columns().get(column)?.type_();
    let integer = match *ty {
        Type::INT8 => row.try_get(column).ok()?,
        Type::INT4 => row.try_get::<_, Option<i32>>(column).ok()?.map(i64::from),
        Type::INT2 => row.try_get::<_, Option<i16>>(column).ok()?.map(i64::from),
        Type::BOOL => {
            let value: Option<bool> = row.try_get(column).ok()?;
            return Some(value.map_or(DatabaseValue::Null, DatabaseValue::Boolean));
        }
        Type::BYTEA => {
            let bytes: Option<&[u8]> = row.try_get(column).ok()?;
            return Some(bytes.map_or(DatabaseValue::Null, DatabaseValue::Blob));
        }
        _ => {
            let text: Option<&str> = row.try_get(column).ok()?;
            return Some(text.map_or(DatabaseValue::Null, DatabaseValue::Text));
        }
    };
    Some(integer.map_or(DatabaseValue::Null, DatabaseValue::Integer))
}
