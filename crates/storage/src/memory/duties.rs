//! Work that one server does for all.

use super::MemoryMetadata;
use super::metadata::seconds;
use crate::{Duty, DutyLease, DutyStore, Error, StorageFuture};

impl DutyStore for MemoryMetadata {
    fn take<'a>(&'a self, duty: &'a Duty) -> StorageFuture<'a, Option<DutyLease>> {
        self.write(move |tables, now| {
            let row = tables.duties.entry(duty.name).or_default();
            let every = seconds(duty.every);
            let is_due = row.done_at.is_none_or(|at| at.saturating_add(every) <= now);
            if row.until > now || !is_due {
                return Ok(None);
            }
            row.fence += 1;
            row.until = now.saturating_add(seconds(duty.lease));
            Ok(Some(DutyLease {
                name: duty.name,
                lease: duty.lease,
                fence: row.fence,
            }))
        })
    }

    fn renew<'a>(&'a self, lease: &'a DutyLease) -> StorageFuture<'a, ()> {
        self.write(move |tables, now| {
            let row = tables.duties.entry(lease.name).or_default();
            if row.fence != lease.fence {
                return Err(Error::Conflict);
            }
            row.until = now.saturating_add(seconds(lease.lease));
            Ok(())
        })
    }

    fn finish(&self, lease: DutyLease) -> StorageFuture<'_, ()> {
        self.write(move |tables, now| {
            let row = tables.duties.entry(lease.name).or_default();
            if row.fence == lease.fence {
                (row.until, row.done_at) = (now, Some(now));
            }
            Ok(())
        })
    }

    fn give_up(&self, lease: DutyLease) -> StorageFuture<'_, ()> {
        self.write(move |tables, now| {
            let row = tables.duties.entry(lease.name).or_default();
            if row.fence == lease.fence {
                row.until = now;
            }
            Ok(())
        })
    }
}
