//! Sizes, as people write them in the configuration and on the command line: a number of bytes (`65536`)
//! or a number with a unit (`64KiB`, `10MB`).

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SizeError {
    /// A number was expected.
    #[error("`{0}` is not a size: write bytes, or 64KiB, 10MiB, 1GB")]
    Number(String),
    /// The number has a fraction.
    #[error("`{0}` is not a whole number: use a smaller unit, such as 1536MiB for 1.5GiB")]
    Fraction(String),
    /// A unit was expected, and this was there.
    #[error("unknown unit `{0}`: use B, KiB, MiB, GiB, TiB or kB, MB, GB, TB")]
    Unit(String),
    /// More than 2^64 bytes.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

const SIZE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads a size in bytes: `65536`, `64KiB`, `10 MB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, SizeError> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(SizeError::Number(text.to_owned()));
    }
    if unit.starts_with(['.', ',']) {
        return Err(SizeError::Fraction(text.to_owned()));
    }
    let unit = unit.trim_start();
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(SizeError::Unit(unit.to_owned()));
    };
    let number = number.parse::<u64>().ok();
    number
        .and_then(|n| n.checked_mul(*bytes))
        .ok_or_else(|| SizeError::TooLarge(text.to_owned()))
}

/// `bytes` as [`parse_size`] reads it back, in the largest binary unit that divides it.
pub(crate) fn print_size(bytes: u64) -> String {
    let whole = |(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
    let binary = SIZE_UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    match binary.rev().find(whole) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("65536"), Ok(65_536));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("10 MB"), Ok(10_000_000));
        assert_eq!(parse_size("1B"), Ok(1));
        assert_eq!(parse_size("64K"), Err(SizeError::Unit("K".to_owned())));
        for fraction in ["1.5GiB", "1,5GiB", "0.5", "1."] {
            let expected = SizeError::Fraction(fraction.to_owned());
            assert_eq!(parse_size(fraction), Err(expected));
        }
        assert_eq!(parse_size("KiB"), Err(SizeError::Number("KiB".to_owned())));
        assert_eq!(
            parse_size("99999999TiB"),
            Err(SizeError::TooLarge("99999999TiB".to_owned()))
        );
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["0", "1000", "64KiB", "3MiB", "1025"] {
            assert_eq!(parse_size(text).map(print_size).as_deref(), Ok(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_surprise(text in "[0-9.smhdwnuKMGTiB ]{0,30}|.{0,12}") {
            let _ = parse_size(&text);
        }
    }
}
