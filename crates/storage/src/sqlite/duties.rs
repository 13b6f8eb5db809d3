//! When work was last done. One server has the database for itself, so there are no leases.

use rusqlite::{Connection, OptionalExtension};

use super::{Sqlite, seconds};
use crate::cache::Stale;
use crate::{Duty, DutyLease, DutyStore, Error, StorageFuture};

impl DutyStore for Sqlite {
    fn take<'a>(&'a self, duty: &'a Duty) -> StorageFuture<'a, Option<DutyLease>> {
        Box::pin(async move {
            let lease = DutyLease {
                name: duty.name,
                lease: duty.lease,
                fence: 0,
            };
            let name = duty.name;
            let done_at = self.read(move |connection| done_at(connection, name));
            let done_at = done_at.await?;
            let (now, every) = (self.now(), seconds(duty.every));
            // A time in the future is that of a clock that was wrong.
            let is_due = done_at.is_none_or(|at| at > now || at.saturating_add(every) <= now);
            Ok(is_due.then_some(lease))
        })
    }

    fn renew<'a>(&'a self, _: &'a DutyLease) -> StorageFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn finish(&self, lease: DutyLease) -> StorageFuture<'_, ()> {
        let now = self.now();
        let done = self.write(
            move |connection| {
                let sql = "INSERT INTO duties (name, done_at) VALUES (?1, ?2)
                    ON CONFLICT (name) DO UPDATE SET done_at = ?2";
                Ok(connection.execute(sql, (lease.name, now)).map(drop)?)
            },
            |()| Stale::Nothing,
        );
        Box::pin(done)
    }

    fn give_up(&self, _: DutyLease) -> StorageFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn done_at(connection: &Connection, name: &str) -> Result<Option<i64>, Error> {
    let mut find = connection.prepare_cached("SELECT done_at FROM duties WHERE name = ?1")?;
    Ok(find.query_row([name], |row| row.get(0)).optional()?)
}
