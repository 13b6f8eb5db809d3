//! The names that registries know a key by.
//!
//! Registry 2 and docker_auth use *libtrust ids*; registry 3 means RFC 7638's *thumbprints*, but
//! computes other ones for some keys. Which id a registry expects where is the whole difficulty of
//! joining token servers and registries, so all of them are here.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};

use crate::PublicKey;
use crate::key_kind::{Curve, KeyMaterial};

/// Which id of the signing key a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyIdKind {
    /// libtrust's, which registry 2 looks up.
    Libtrust,
    /// RFC 7638's thumbprint, which registry 3 looks up.
    Thumbprint,
}

/// Every id that a registry may know a key by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIds {
    /// libtrust's.
    pub libtrust: String,
    /// RFC 7638's.
    pub thumbprint: String,
    /// What registry 3.0 calls a key of its bundle; `None` when it cannot look such a key up.
    pub registry_3_0: Option<String>,
    /// What registry 3.1 calls a key of its bundle.
    pub registry_3_1: String,
}

impl PublicKey {
    /// libtrust's id: SHA-256 over the SubjectPublicKeyInfo, its first 30 bytes in base 32, in
    /// groups of four.
    #[must_use]
    pub fn libtrust_id(&self) -> String {
        let base32 = BASE32_NOPAD.encode(&digest(&SHA256, self.spki()).as_ref()[..30]);
        let mut id = String::with_capacity(base32.len() + base32.len() / 4);
        for (index, letter) in base32.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                id.push(':');
            }
            id.push(letter);
        }
        id
    }

    /// RFC 7638's thumbprint, with SHA-256.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        hashed(&canonical_jwk(self.material(), <[u8]>::to_vec))
    }

    /// The id of this kind.
    #[must_use]
    pub fn id(&self, kind: KeyIdKind) -> String {
        match kind {
            KeyIdKind::Libtrust => self.libtrust_id(),
            KeyIdKind::Thumbprint => self.thumbprint(),
        }
    }

    /// Every id.
    #[must_use]
    pub fn ids(&self) -> KeyIds {
        KeyIds {
            libtrust: self.libtrust_id(),
            thumbprint: self.thumbprint(),
            registry_3_0: self.registry_3_0_id(),
            registry_3_1: self.registry_3_1_id(),
        }
    }

    /// Registry 3.0 hashes the curve's generator in place of the key's point: every key of a curve
    /// has one id there. It gives Ed25519 keys none.
    fn registry_3_0_id(&self) -> Option<String> {
        match self.material() {
            KeyMaterial::Rsa { .. } => Some(self.thumbprint()),
            KeyMaterial::Ec { curve, .. } => Some(generator_thumbprint(*curve).to_owned()),
            KeyMaterial::Ed25519(_) => None,
        }
    }

    /// Registry 3.1 drops the zeros in front of a coordinate, which RFC 7518 §6.2.1.2 keeps.
    fn registry_3_1_id(&self) -> String {
        hashed(&canonical_jwk(self.material(), |coordinate| {
            coordinate
                .iter()
                .copied()
                .skip_while(|byte| *byte == 0)
                .collect()
        }))
    }
}

/// The required members, in order, without spaces (RFC 7638 §3.2 and §3.3, RFC 8037 §2).
fn canonical_jwk(key: &KeyMaterial, coordinate: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let base64 = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    match key {
        KeyMaterial::Rsa { modulus, exponent } => {
            format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                base64(exponent),
                base64(modulus)
            )
        }
        KeyMaterial::Ec { curve, x, y } => {
            let (x, y) = (base64(&coordinate(x)), base64(&coordinate(y)));
            format!(
                r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#,
                curve.name()
            )
        }
        KeyMaterial::Ed25519(bytes) => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64(bytes))
        }
    }
}

fn hashed(text: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

/// The thumbprint of the curve's generator, as if it were a key.
fn generator_thumbprint(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M",
        Curve::P384 => "-W6Wzot_wuerYbKBVKfGEks3iY2EALna-hBqObnPuJE",
        Curve::P521 => "67t2ktf21o_Z2-ygUyR0zriEF9PMHtlT1l4q9rGSYOM",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::{Jwk, PrivateKey};

    #[test]
    fn ids_are_those_of_the_vectors() {
        let file: Value = serde_json::from_str(include_str!("../vectors/key-ids.json")).unwrap();
        let keys = file["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 4);
        for key in keys {
            let jwk = Jwk::from_json(&key["jwk"].to_string()).unwrap();
            let expected = |name: &str| key[name].as_str().map(str::to_owned);
            for (computed, name) in [
                (jwk.key.libtrust_id(), "libtrust"),
                (jwk.key.thumbprint(), "thumbprint"),
            ] {
                assert_eq!(
                    computed,
                    expected(name).unwrap_or_else(|| computed.clone()),
                    "{name} of {jwk:?}"
                );
            }
            assert!(key["libtrust"].is_string() || key["thumbprint"].is_string());
        }
    }

    #[test]
    fn registry_3_has_ids_of_its_own() {
        let rsa = Jwk::from_json(&vector(2)).unwrap().key.ids();
        assert_eq!(rsa.registry_3_0.as_ref(), Some(&rsa.thumbprint));
        assert_eq!(rsa.registry_3_1, rsa.thumbprint);

        let [first, second] = [0, 1].map(|n| Jwk::from_json(&vector(n)).unwrap().key.ids());
        assert_ne!(first.thumbprint, second.thumbprint);
        assert_eq!(first.registry_3_0, second.registry_3_0);
        assert_eq!(first.registry_3_1, first.thumbprint);

        let ed25519 = Jwk::from_json(&vector(3)).unwrap().key.ids();
        assert_eq!(
            (ed25519.registry_3_0, ed25519.registry_3_1),
            (None, ed25519.thumbprint)
        );
    }

    #[test]
    fn registry_3_1_drops_the_zeros_in_front_of_a_coordinate() {
        let key = PrivateKey::from_pem(include_str!("../vectors/p256-leading-zero.pem")).unwrap();
        let ids = key.public().ids();
        assert_ne!(ids.registry_3_1, ids.thumbprint);
    }

    fn vector(index: usize) -> String {
        let file: Value = serde_json::from_str(include_str!("../vectors/key-ids.json")).unwrap();
        file["keys"][index]["jwk"].to_string()
    }
}
