//! Writing the few lines of DER that key ids are made of.
//!
//! A key id is a hash over a SubjectPublicKeyInfo, so the bytes must be the same wherever a key
//! comes from: they are written here from the key's numbers, never taken over.

use crate::key_kind::{Curve, KeyMaterial};

/// rsaEncryption (RFC 8017 appendix C).
pub(crate) const RSA: &str = "1.2.840.113549.1.1.1";
/// id-ecPublicKey (RFC 5480 §2.1.1).
pub(crate) const EC: &str = "1.2.840.10045.2.1";
/// id-Ed25519 (RFC 8410 §3).
pub(crate) const ED25519: &str = "1.3.101.112";

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// rsaEncryption with its NULL parameters, as RFC 3279 §2.3.1 wants them.
const RSA_IDENTIFIER: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const EC_OID: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519_IDENTIFIER: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// The object identifier of a curve, dotted (RFC 5480 §2.1.1.1).
pub(crate) fn curve_oid(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "1.2.840.10045.3.1.7",
        Curve::P384 => "1.3.132.0.34",
        Curve::P521 => "1.3.132.0.35",
    }
}

/// The SubjectPublicKeyInfo of a key.
pub(crate) fn spki(key: &KeyMaterial) -> Vec<u8> {
    match key {
        KeyMaterial::Rsa { modulus, exponent } => {
            let numbers = [
                tagged(INTEGER, &positive(modulus)),
                tagged(INTEGER, &positive(exponent)),
            ]
            .concat();
            rsa_spki_of_pkcs1(&tagged(SEQUENCE, &numbers))
        }
        KeyMaterial::Ec { curve, x, y } => {
            let identifier = tagged(SEQUENCE, &[EC_OID, curve_oid_der(*curve)].concat());
            key_info(&identifier, &[&[4], &x[..], &y[..]].concat())
        }
        KeyMaterial::Ed25519(bytes) => key_info(ED25519_IDENTIFIER, bytes),
    }
}

/// The SubjectPublicKeyInfo around a PKCS#1 RSAPublicKey.
pub(crate) fn rsa_spki_of_pkcs1(pkcs1: &[u8]) -> Vec<u8> {
    key_info(RSA_IDENTIFIER, pkcs1)
}

fn key_info(identifier: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tagged(BIT_STRING, &[&[0], key].concat());
    tagged(SEQUENCE, &[identifier, &bits[..]].concat())
}

fn curve_oid_der(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        Curve::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        Curve::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
    }
}

/// A positive INTEGER: one zero in front when its highest bit would read as a minus (X.690 §8.3.3).
fn positive(number: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        bytes.push(0);
    }
    bytes.extend_from_slice(number);
    bytes
}

/// Tag, length, value; the length in as few bytes as it needs (X.690 §10.1).
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = value.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        assert_eq!(tagged(4, &[]), [4, 0]);
        assert_eq!(tagged(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(tagged(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tagged(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn integers_stay_positive() {
        assert_eq!(positive(&[0x7f]), [0x7f]);
        assert_eq!(positive(&[0x80]), [0, 0x80]);
        assert_eq!(positive(&[]), [0]);
    }
}
