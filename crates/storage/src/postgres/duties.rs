//! Work that one server at a time does for all.

use super::PostgresMetadata;
use super::columns::{column, seconds};
use crate::seams::{Duty, DutyLease, DutyStore};
use crate::{Error, StorageFuture};

impl DutyStore for PostgresMetadata {
    fn take<'a>(&'a self, duty: &'a Duty) -> StorageFuture<'a, Option<DutyLease>> {
        Box::pin(async move {
            let sql = "SELECT take_duty_1($1, $2, $3, $4, $5)";
            let (name, server) = (duty.name, &self.shared.server[..]);
            let (lease, every) = (seconds(duty.lease), seconds(duty.every));
            let taken = self
                .one(sql, &[&self.at(), &name, &server, &lease, &every])
                .await?;
            let fence: Option<i64> = column(&taken, 0)?;
            Ok(fence.map(|fence| DutyLease {
                name: duty.name,
                lease: duty.lease,
                fence,
            }))
        })
    }

    fn renew<'a>(&'a self, lease: &'a DutyLease) -> StorageFuture<'a, ()> {
        Box::pin(async move {
            let sql = "UPDATE duties SET until = coalesce($1::timestamptz, now()) + make_interval(secs => $4)
                WHERE name = $2 AND fence = $3 RETURNING fence";
            let seconds = seconds(lease.lease);
            let renewed = self
                .query(sql, &[&self.at(), &lease.name, &lease.fence, &seconds])
                .await?;
            // Another server has it.
            renewed.first().map(drop).ok_or(Error::Conflict)
        })
    }

    fn finish(&self, lease: DutyLease) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "UPDATE duties SET until = coalesce($1::timestamptz, now()), done_at = coalesce($1::timestamptz, now())
                WHERE name = $2 AND fence = $3";
            self.query(sql, &[&self.at(), &lease.name, &lease.fence])
                .await
                .map(drop)
        })
    }

    fn give_up(&self, lease: DutyLease) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let sql = "UPDATE duties SET until = coalesce($1::timestamptz, now()) WHERE name = $2 AND fence = $3";
            self.query(sql, &[&self.at(), &lease.name, &lease.fence])
                .await
                .map(drop)
        })
    }
}
