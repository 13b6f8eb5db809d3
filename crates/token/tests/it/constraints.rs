//! Certificates that say what may be certified with them: name constraints, critical extensions.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, GeneralSubtree, IsCa, Issuer,
    KeyPair, NameConstraints, SanType,
};
use token::{Certificate, ChainError, verify_chain};

use crate::{DAY, NOW, at};

/// An authority at work on a path: its certificate and what signs with it.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    parameters.not_before = at(NOW - DAY).into();
    parameters.not_after = at(NOW + DAY).into();
    parameters
}

fn authority(name: &str, constraints: NameConstraints, above: Option<&Authority>) -> Authority {
    let mut parameters = parameters(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let constrained = [
        &constraints.permitted_subtrees,
        &constraints.excluded_subtrees,
    ];
    if constrained.iter().any(|subtrees| !subtrees.is_empty()) {
        parameters.name_constraints = Some(constraints);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match above {
        None => parameters.self_signed(&key).unwrap(),
        Some(above) => parameters.signed_by(&key, &above.issuer).unwrap(),
    };
    Authority {
        certificate: Certificate::from_der(certificate.der()).unwrap(),
        issuer: Issuer::new(parameters, key),
    }
}

fn leaf(names: &[SanType], extensions: &[CustomExtension], above: &Authority) -> Certificate {
    let mut parameters = parameters("leaf");
    parameters.subject_alt_names = names.to_vec();
    parameters.custom_extensions = extensions.to_vec();
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &above.issuer).unwrap();
    Certificate::from_der(certificate.der()).unwrap()
}

fn permitted(subtrees: Vec<GeneralSubtree>) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: subtrees,
        excluded_subtrees: Vec::new(),
    }
}

fn excluded(subtrees: Vec<GeneralSubtree>) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: subtrees,
    }
}

fn nothing() -> NameConstraints {
    permitted(Vec::new())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn ip(text: &str) -> SanType {
    SanType::IpAddress(text.parse::<IpAddr>().unwrap())
}

fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn below_dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn verify(chain: &[Certificate], root: &Authority) -> Result<(), String> {
    let roots = std::slice::from_ref(&root.certificate);
    verify_chain(chain, roots, at(NOW)).map_err(|error| error.to_string())
}

/// Whether a root with `constraints` may have signed a leaf with `name`.
fn allows(constraints: NameConstraints, name: SanType) -> bool {
    let root = authority("root", constraints, None);
    match verify(&[leaf(&[name], &[], &root)], &root) {
        Ok(()) => true,
        Err(why) => {
            assert!(
                why.contains("not authorized to sign for this name"),
                "{why}"
            );
            false
        }
    }
}

#[test]
fn names_outside_of_an_authority_s_constraints_are_refused() {
    let example = || permitted(vec![below_dns("example.com")]);
    assert!(allows(example(), dns("example.com")));
    assert!(allows(example(), dns("Auth.EXAMPLE.com")));
    assert!(!allows(example(), dns("example.org")));
    assert!(!allows(example(), dns("notexample.com")));
    // Of another kind: not constrained.
    assert!(allows(example(), ip("192.0.2.1")));
    let sub = || permitted(vec![below_dns(".example.com")]);
    assert!(allows(sub(), dns("a.example.com")) && !allows(sub(), dns("example.com")));

    let secret = || excluded(vec![below_dns("secret.example.com")]);
    assert!(!allows(secret(), dns("a.secret.example.com")));
    assert!(
        !allows(secret(), dns("*.example.com")),
        "it would take secret.example.com"
    );
    assert!(allows(secret(), dns("open.example.com")));

    let ten = || CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]);
    let networks = || permitted(vec![GeneralSubtree::IpAddress(ten())]);
    assert!(allows(networks(), ip("10.1.2.3")) && !allows(networks(), ip("192.0.2.1")));
    assert!(!allows(networks(), ip("::1")));
    let no_ten = || excluded(vec![GeneralSubtree::IpAddress(ten())]);
    assert!(!allows(no_ten(), ip("10.1.2.3")) && allows(no_ten(), ip("192.0.2.1")));

    let mail = |of: &str| permitted(vec![GeneralSubtree::Rfc822Name(of.to_owned())]);
    assert!(allows(mail("example.com"), email("a@example.com")));
    assert!(!allows(mail("example.com"), email("a@example.org")));
    assert!(allows(mail("a@example.com"), email("a@EXAMPLE.com")));
    assert!(!allows(mail("a@example.com"), email("b@example.com")));
    // The libraries that make certificates know no constraints on URIs; without any, all are free.
    assert!(allows(mail("example.com"), uri("https://example.org/")));
}

#[test]
fn constraints_hold_for_everything_below() {
    let root = authority("root", permitted(vec![below_dns("example.com")]), None);
    let middle = authority("middle", nothing(), Some(&root));
    let chain = |name: &str| [leaf(&[dns(name)], &[], &middle), middle.certificate.clone()];
    assert_eq!(verify(&chain("a.example.com"), &root), Ok(()));
    assert_eq!(
        verify(&chain("a.example.org"), &root).unwrap_err(),
        "x509: a root or intermediate certificate is not authorized to sign for this name: DNS name \
         \"a.example.org\" is not permitted by any constraint"
    );
    // An intermediate's own constraints bind what it signs, and are no wider than the root's.
    let narrow = authority(
        "narrow",
        excluded(vec![below_dns("a.example.com")]),
        Some(&root),
    );
    let chain = |name: &str| [leaf(&[dns(name)], &[], &narrow), narrow.certificate.clone()];
    assert_eq!(verify(&chain("b.example.com"), &root), Ok(()));
    let refused = verify(&chain("a.example.com"), &root).unwrap_err();
    assert!(
        refused.ends_with("is excluded by constraint \"a.example.com\""),
        "{refused}"
    );
    assert!(verify(&chain("b.example.org"), &root).is_err());
}

#[test]
fn every_name_of_a_certificate_counts() {
    let root = authority("root", permitted(vec![below_dns("example.com")]), None);
    let names = [dns("a.example.com"), dns("b.example.org")];
    assert!(verify(&[leaf(&names, &[], &root)], &root).is_err());
    let nameless = leaf(&[], &[], &root);
    assert_eq!(verify(&[nameless], &root), Ok(()));
}

/// An extension that no program knows.
fn strange(critical: bool) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(critical);
    extension
}

#[test]
fn unknown_critical_extensions_are_refused_and_others_ignored() {
    let root = authority("root", nothing(), None);
    assert_eq!(
        verify(&[leaf(&[], &[strange(false)], &root)], &root),
        Ok(())
    );
    let critical = leaf(&[], &[strange(true)], &root);
    assert_eq!(
        verify_chain(
            std::slice::from_ref(&critical),
            std::slice::from_ref(&root.certificate),
            at(NOW)
        ),
        Err(ChainError::CriticalExtension)
    );
    // Also if the certificate itself is trusted.
    assert_eq!(
        verify_chain(
            std::slice::from_ref(&critical),
            std::slice::from_ref(&critical),
            at(NOW)
        ),
        Err(ChainError::CriticalExtension)
    );
}

#[test]
fn an_authority_with_an_unknown_critical_extension_signs_nothing() {
    let key = KeyPair::generate().unwrap();
    let mut odd = parameters("odd");
    odd.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    odd.custom_extensions = vec![strange(true)];
    let certificate = odd.self_signed(&key).unwrap();
    let odd = Authority {
        certificate: Certificate::from_der(certificate.der()).unwrap(),
        issuer: Issuer::new(odd, key),
    };
    let refused = verify(&[leaf(&[], &[], &odd)], &odd).unwrap_err();
    assert!(
        refused.contains("x509: unhandled critical extension"),
        "{refused}"
    );
}
