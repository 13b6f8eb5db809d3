//! The bucket that each server with S3's protocol has.

/// A bucket, and the only key of its server.
#[derive(Clone, Copy, Debug)]
pub struct TestBucket {
    /// Its name.
    pub name: &'static str,
    /// Its region.
    pub region: &'static str,
    /// The id of the key.
    pub access_key: &'static str,
    /// The key.
    pub secret_key: &'static str,
}

/// The bucket of every server.
pub(crate) const BUCKET: TestBucket = TestBucket {
    name: "content",
    region: "us-east-1",
    access_key: "wharfinger-test",
    secret_key: "secret-of-the-test",
};
