//! Token servers' keys, with the certificate that a registry was given and the one that tokens
//! carry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, SystemClock, SystemEntropy};
use token::{Certificate, CertificateRequest, KeyKind, PrivateKey};

const DAY: Duration = Duration::from_secs(86_400);

/// A key whose x coordinate begins with a zero byte: registry 3.1 has an id of its own for it.
const LEADING_ZERO: &str = include_str!("../../../../token/vectors/p256-leading-zero.pem");

pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) key: Arc<PrivateKey>,
    /// What is in the registry's bundle.
    pub(super) trusted: Vec<Certificate>,
    /// What `x5c` carries.
    pub(super) presented: Vec<Certificate>,
}

impl Subject {
    pub(super) fn all() -> Vec<Self> {
        let leading_zero = PrivateKey::from_pem(LEADING_ZERO).unwrap();
        vec![
            Self::new("RSA", KeyKind::Rsa { bits: 2048 }),
            Self::new("P-256", KeyKind::P256),
            Self::of("P-256 with a leading zero", leading_zero),
        ]
    }

    pub(super) fn new(name: &'static str, kind: KeyKind) -> Self {
        Self::of(name, PrivateKey::generate(kind).unwrap())
    }

    fn of(name: &'static str, key: PrivateKey) -> Self {
        let certificate = request(name).self_signed(&key, &SystemEntropy).unwrap();
        let certificates = vec![certificate];
        Self {
            name,
            key: Arc::new(key),
            trusted: certificates.clone(),
            presented: certificates,
        }
    }

    /// Its certificate was made anew, and the registry has the old one.
    pub(super) fn reissued(mut self) -> Self {
        self.presented = vec![
            request(self.name)
                .self_signed(&self.key, &SystemEntropy)
                .unwrap(),
        ];
        assert_ne!(self.trusted, self.presented);
        self
    }

    /// Its certificate was made anew for another host, and the old one says that its key may sign
    /// certificates, as openssl writes it: so the new one follows from the old.
    pub(super) fn reissued_by_itself() -> Self {
        let mut subject = Self::new("P-256 of an authority", KeyKind::P256);
        let old = CertificateRequest {
            authority: true,
            ..request(subject.name)
        };
        let new = CertificateRequest {
            hosts: vec!["other.example.com".to_owned()],
            ..request(subject.name)
        };
        subject.trusted = vec![old.self_signed(&subject.key, &SystemEntropy).unwrap()];
        subject.presented = vec![new.self_signed(&subject.key, &SystemEntropy).unwrap()];
        subject
    }

    /// Its only certificate has expired.
    pub(super) fn expired(mut self) -> Self {
        let request = CertificateRequest {
            not_before: now() - 2 * DAY,
            not_after: now() - DAY,
            ..request(self.name)
        };
        self.trusted = vec![request.self_signed(&self.key, &SystemEntropy).unwrap()];
        self.presented.clone_from(&self.trusted);
        self
    }

    /// An authority signed its certificate, and the registry has only the authority's.
    pub(super) fn below_an_authority() -> Self {
        let mut subject = Self::new("P-256 below an authority", KeyKind::P256);
        let authority_key = PrivateKey::generate(KeyKind::P256).unwrap();
        let authority = CertificateRequest {
            authority: true,
            ..request("authority")
        };
        let authority = authority
            .self_signed(&authority_key, &SystemEntropy)
            .unwrap();
        let leaf = request(subject.name)
            .signed_by(&subject.key, &authority, &authority_key, &SystemEntropy)
            .unwrap();
        subject.presented = vec![leaf];
        subject.trusted = vec![authority];
        subject
    }
}

pub(super) fn now() -> SystemTime {
    SystemClock.now()
}

fn request(name: &str) -> CertificateRequest {
    CertificateRequest {
        common_name: name.to_owned(),
        hosts: vec!["auth.example.com".to_owned()],
        addresses: Vec::new(),
        not_before: now() - DAY,
        not_after: now() + DAY,
        authority: false,
    }
}
