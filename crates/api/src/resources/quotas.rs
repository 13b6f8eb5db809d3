//! `/quotas`: how much may be stored below which prefixes of names, and how much is.

use crate::call::{ApiCall, InQuery};
use crate::pages::PageParameters;
use crate::problem::ApiProblem;
use crate::quota_reader::QuotaView;
use crate::reply::Page;
use crate::scope::QuotasRead;

pub(crate) async fn list(
    call: ApiCall<QuotasRead, InQuery<PageParameters>>,
) -> Result<Page<QuotaView>, ApiProblem> {
    let PageParameters { after, limit } = &call.input.0;
    let limit = limit.get() as usize;
    let mut quotas = match &call.state.stores.quotas {
        // One more says whether there is another page.
        Some(quotas) => quotas.quotas(after.key(), limit + 1).await?,
        None => Vec::new(),
    };
    let has_more = quotas.len() > limit;
    quotas.truncate(limit);
    let last = quotas.last().filter(|_| has_more);
    let last = last.map(|quota| quota.prefix.clone());
    Ok(call.page(quotas, last.as_deref()))
}
