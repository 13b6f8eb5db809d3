//! The proof that a client may do something, and everything that it opens.
//!
//! A proof is bound to one repository and one kind of action. It has methods for exactly what that
//! action may do with that repository, and it is the only way to the storage: a handler neither
//! names the repository again nor reaches another one. Each kind of proof has a file of its own.

mod delete;
mod pull;
mod push;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use oci::RepositoryName;
use storage::{Error, Quotas, Storage};

pub(crate) use self::pull::PullableBlob;
pub(crate) use self::push::MountSource;
use crate::principal::Principal;
use crate::upstream::Upstream;

/// A kind of access to a repository.
pub trait Action: sealed::Sealed {
    /// The actions that a token must grant. As in Distribution, a push also needs `pull`; a deletion
    /// and the end of an upload do not.
    const NEEDED: &'static [&'static str];
    /// Whether it changes the repository.
    const CHANGES: bool;
    /// Whether it removes content that others may rely on.
    const DELETES: bool;
}

/// Reading.
pub enum Pull {}
/// Uploading blobs and manifests.
pub enum Push {}
/// Ending an upload. A client that may begin one may end it.
pub enum Cancel {}
/// Deleting manifests, tags and blobs.
pub enum Delete {}

impl Action for Pull {
    const NEEDED: &'static [&'static str] = &["pull"];
    const CHANGES: bool = false;
    const DELETES: bool = false;
}

impl Action for Push {
    const NEEDED: &'static [&'static str] = &["pull", "push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Cancel {
    const NEEDED: &'static [&'static str] = &["push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Delete {
    const NEEDED: &'static [&'static str] = &["delete"];
    const CHANGES: bool = true;
    const DELETES: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Pull {}
    impl Sealed for super::Push {}
    impl Sealed for super::Cancel {}
    impl Sealed for super::Delete {}
}

/// What a proof opens.
pub(crate) struct Resources {
    pub(crate) storage: Storage,
    pub(crate) quotas: Quotas,
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
}

/// Proof that a client may do `A` with one repository. Only access control makes one.
///
/// It opens exactly what `A` may do with that repository. A proof for pushing takes in a manifest:
///
/// ```
/// # use registry::{Authorized, Push};
/// async fn push(proof: Authorized<'_, Push>, manifest: storage::NewManifest) {
///     let _ = proof.push_manifest(manifest, vec![], Default::default()).await;
/// }
/// ```
///
/// A proof for pulling has no such method:
///
/// ```compile_fail
/// # use registry::{Authorized, Pull};
/// async fn push(proof: Authorized<'_, Pull>, manifest: storage::NewManifest) {
///     let _ = proof.push_manifest(manifest, vec![], Default::default()).await;
/// }
/// ```
///
/// Nor does a proof for pushing delete, though one for deleting does:
///
/// ```
/// # use registry::{Authorized, Delete};
/// async fn delete(proof: Authorized<'_, Delete>, tag: oci::Tag) {
///     let _ = proof.delete_tag(&tag, Default::default()).await;
/// }
/// ```
/// ```compile_fail
/// # use registry::{Authorized, Push};
/// async fn delete(proof: Authorized<'_, Push>, tag: oci::Tag) {
///     let _ = proof.delete_tag(&tag, Default::default()).await;
/// }
/// ```
///
/// And no proof leads to another repository, or to all of the storage:
///
/// ```compile_fail
/// # use registry::{Authorized, Delete};
/// fn everything<'a>(proof: &'a Authorized<'_, Delete>) -> &'a storage::Storage {
///     proof.storage()
/// }
/// ```
pub struct Authorized<'a, A> {
    resources: &'a Resources,
    repository: RepositoryName,
    principal: Principal,
    /// Whether the client may also push to the repository.
    may_push: bool,
    action: PhantomData<A>,
}

impl<'a, A> Authorized<'a, A> {
    /// Only for access control, which has checked that `principal` may do `A`.
    pub(crate) fn new(
        resources: &'a Resources,
        repository: RepositoryName,
        principal: Principal,
        may_push: bool,
    ) -> Self {
        Self {
            resources,
            repository,
            principal,
            may_push,
            action: PhantomData,
        }
    }

    /// The repository that the proof is for.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The storage, in which all of the repository is in rows.
    async fn storage(&self) -> Result<&Storage, Error> {
        let storage = &self.resources.storage;
        storage.ensure_adopted(&self.repository).await?;
        Ok(storage)
    }
}

impl<A> fmt::Debug for Authorized<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}
