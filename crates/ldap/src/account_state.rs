//! What an entry says of its account besides the labels: since when the password is valid, and
//! whether the account may still log in.
//!
//! A bind finds out by itself. A session is rechecked without a password, so these attributes are
//! read then. A server that does not have one of them, or does not let the reader see it, leaves it
//! out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use identity::CredentialFingerprint;

use crate::entry::DirectoryEntry;

/// Attributes whose values belong to one entry for ever: of RFC 4530, of Active Directory, of 389
/// Directory Server.
const IDS: [&str; 3] = ["entryUUID", "objectGUID", "nsUniqueId"];

/// When the password was changed: of the draft on password policies, of Active Directory.
const PASSWORD_TIMES: [&str; 2] = ["pwdChangedTime", "pwdLastSet"];

/// Flags of an account in Active Directory, and when it expires.
const CONTROL: &str = "userAccountControl";
const EXPIRES: &str = "accountExpires";
/// `TRUE` for an inactivated account of 389 Directory Server and FreeIPA.
const INACTIVATED: &str = "nsAccountLock";
/// The time of a lock by OpenLDAP's password policy.
const LOCKED: &str = "pwdAccountLockedTime";

/// The flag `ACCOUNTDISABLE` of `userAccountControl`.
const DISABLED: i64 = 2;

/// The value of `pwdAccountLockedTime` of an account that only an administrator unlocks. Any other
/// is the time of the last wrong password, and ends by itself.
const LOCKED_FOR_EVER: &str = "000001010000Z";

/// From 1601, where Active Directory's time begins, to 1970, in seconds.
const TO_1970: i64 = 11_644_473_600;

/// What has to be asked for.
pub(crate) const ATTRIBUTES: [&str; 9] = [
    IDS[0],
    IDS[1],
    IDS[2],
    PASSWORD_TIMES[0],
    PASSWORD_TIMES[1],
    CONTROL,
    EXPIRES,
    INACTIVATED,
    LOCKED,
];

/// Stands for the entry and its current password. Another entry of the same name has another one,
/// and a changed password changes it, as far as the reader can see these attributes.
pub(crate) fn fingerprint(entry: &DirectoryEntry) -> CredentialFingerprint {
    let id = IDS.iter().find_map(|id| entry.values(id).next());
    let id = id.unwrap_or(entry.name.as_bytes());
    let times = PASSWORD_TIMES.iter().flat_map(|time| entry.texts(time));
    let times: Vec<&str> = times.collect();
    CredentialFingerprint::of(&format!("{}\n{}", hex(id), times.join("\n")))
}

/// Whether the account was disabled, or has expired.
pub(crate) fn is_disabled(entry: &DirectoryEntry, now: SystemTime) -> bool {
    let number = |attribute| entry.texts(attribute).next()?.parse::<i64>().ok();
    let has_flag = number(CONTROL).is_some_and(|flags| flags & DISABLED != 0);
    let has_expired = number(EXPIRES)
        .and_then(expiry)
        .is_some_and(|expiry| expiry <= now);
    let is = |attribute, value: &str| {
        let mut values = entry.texts(attribute);
        values.any(|found| found.eq_ignore_ascii_case(value))
    };
    has_flag || has_expired || is(INACTIVATED, "TRUE") || is(LOCKED, LOCKED_FOR_EVER)
}

/// The time that `accountExpires` counts in 100 ns; 0 and the largest number stand for never.
fn expiry(ticks: i64) -> Option<SystemTime> {
    let seconds = match ticks {
        0 | i64::MAX => return None,
        ticks => (ticks / 10_000_000).saturating_sub(TO_1970),
    };
    let since_1970 = u64::try_from(seconds).unwrap_or_default();
    UNIX_EPOCH.checked_add(Duration::from_secs(since_1970))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &[&str])]) -> DirectoryEntry {
        DirectoryEntry::of("uid=ann,dc=x", attributes)
    }

    #[test]
    fn the_fingerprint_follows_the_entry_and_its_password() {
        let of = |attributes: &[(&str, &[&str])]| fingerprint(&entry(attributes));
        let one = of(&[
            ("entryUUID", &["1"]),
            ("pwdChangedTime", &["20260101000000Z"]),
        ]);
        let again = of(&[
            ("pwdchangedtime", &["20260101000000Z"]),
            ("entryuuid", &["1"]),
        ]);
        assert_eq!(one, again);
        assert_ne!(
            one,
            of(&[
                ("entryUUID", &["2"]),
                ("pwdChangedTime", &["20260101000000Z"])
            ])
        );
        assert_ne!(
            one,
            of(&[
                ("entryUUID", &["1"]),
                ("pwdChangedTime", &["20260102000000Z"])
            ])
        );
        assert_ne!(one, of(&[("entryUUID", &["1"])]));
        // A name alone, if nothing else can be read. With an ID, an entry may be moved.
        assert_eq!(of(&[]), of(&[]));
        assert_ne!(
            of(&[]),
            fingerprint(&DirectoryEntry::of("uid=bob,dc=x", &[]))
        );
        let moved = DirectoryEntry::of("uid=ann,dc=y", &[("entryUUID", &["1"])]);
        assert_eq!(of(&[("entryUUID", &["1"])]), fingerprint(&moved));
    }

    #[test]
    fn a_disabled_account_is_told_from_one_with_wrong_passwords() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let disabled =
            |attribute: &str, value: &str| is_disabled(&entry(&[(attribute, &[value])]), now);
        assert!(!is_disabled(&entry(&[]), now));
        for (attribute, value, expected) in [
            ("userAccountControl", "514", true),
            ("userAccountControl", "512", false),
            ("userAccountControl", "x", false),
            ("accountExpires", "0", false),
            ("accountExpires", "9223372036854775807", false),
            ("accountExpires", "134444735990000000", true),
            ("accountExpires", "134444736010000000", false),
            ("accountExpires", "1", true),
            ("nsAccountLock", "TRUE", true),
            ("nsAccountLock", "false", false),
            ("pwdAccountLockedTime", "000001010000Z", true),
            ("pwdAccountLockedTime", "20261129010000Z", false),
        ] {
            assert_eq!(disabled(attribute, value), expected, "{attribute} {value}");
        }
    }
}
