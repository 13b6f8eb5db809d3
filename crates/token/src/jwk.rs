//! Keys as JSON (RFC 7517, RFC 8037).

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};

use crate::key_kind::{Curve, KeyMaterial};
use crate::{Certificate, KeyError, KeyIdKind, PublicKey, SignatureAlgorithm};

/// A public key as JSON Web Key. Of a private one only the public members are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "JwkMembers", into = "JwkMembers")]
pub struct Jwk {
    /// The key.
    pub key: PublicKey,
    /// `kid`.
    pub key_id: Option<String>,
    /// `alg`.
    pub algorithm: Option<String>,
    /// `use`: `sig` for keys that sign.
    pub usage: Option<String>,
    /// `x5c`: the key's certificate and the chain above it.
    pub chain: Vec<Certificate>,
}

impl Jwk {
    /// Reads a JWK.
    ///
    /// # Errors
    /// When it is no JSON object, not a kind of key that signs tokens, or damaged.
    pub fn from_json(text: &str) -> Result<Self, JwkError> {
        serde_json::from_str::<JwkMembers>(text)
            .map_err(|e| JwkError::Json(e.to_string()))?
            .try_into()
    }

    /// This key under an id, as a member of a token's header has it.
    #[must_use]
    pub fn with_id(mut self, kind: KeyIdKind) -> Self {
        self.key_id = Some(self.key.id(kind));
        self
    }

    /// This key as it is published: with what it is for.
    #[must_use]
    pub fn published(mut self) -> Self {
        self.algorithm = Some(SignatureAlgorithm::of(self.key.kind()).name().to_owned());
        self.usage = Some("sig".to_owned());
        self
    }
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        Self {
            key,
            key_id: None,
            algorithm: None,
            usage: None,
            chain: Vec::new(),
        }
    }
}

impl PublicKey {
    /// The key as JWK, without an id.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        self.clone().into()
    }
}

/// A set of keys (RFC 7517 §5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys that sign tokens.
    pub keys: Vec<Jwk>,
    /// The others: place in the set, counted from 1, and what is wrong. RFC 7517 §5 has them
    /// ignored.
    #[serde(skip)]
    pub ignored: Vec<(usize, JwkError)>,
}

impl JwkSet {
    /// Reads a set.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, JwkError> {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|e| JwkError::Json(e.to_string()))?;
        let members = match json.get("keys") {
            Some(serde_json::Value::Array(keys)) => keys.clone(),
            Some(_) => return Err(JwkError::Json("\"keys\" is not a list".to_owned())),
            None => return Err(JwkError::Json("it has no \"keys\"".to_owned())),
        };
        let mut set = Self::default();
        for (index, key) in members.into_iter().enumerate() {
            let key = serde_json::from_value::<JwkMembers>(key)
                .map_err(|e| JwkError::Json(e.to_string()));
            match key.and_then(Jwk::try_from) {
                Ok(key) => set.keys.push(key),
                Err(error) => set.ignored.push((index + 1, error)),
            }
        }
        Ok(set)
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            ignored: Vec::new(),
        }
    }
}

/// Why a JWK is not a key to verify tokens with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not the JSON it should be.
    #[error("not a JSON Web Key: {0}")]
    Json(String),
    /// A `kty` or `crv` of another use.
    #[error("a key of kind {0:?} verifies no tokens")]
    Unsupported(String),
    /// A member is missing.
    #[error("the key has no {0:?}")]
    Missing(&'static str),
    /// A member is not base64url (base64 in `x5c`).
    #[error("the key's {0:?} is not base64url")]
    Base64(&'static str),
    /// The key itself is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate in `x5c` is wrong.
    #[error("the key's \"x5c\" does not hold certificates")]
    Chain,
}

/// The members as they are written: in the order of the alphabet, as libtrust wrote them.
#[derive(Default, Serialize, Deserialize)]
struct JwkMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    x5c: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl From<Jwk> for JwkMembers {
    fn from(jwk: Jwk) -> Self {
        let base64 = |bytes: &[u8]| Some(BASE64URL_NOPAD.encode(bytes));
        let mut members = Self {
            alg: jwk.algorithm,
            kid: jwk.key_id,
            usage: jwk.usage,
            x5c: jwk
                .chain
                .iter()
                .map(|certificate| BASE64.encode(certificate.der()))
                .collect(),
            ..Self::default()
        };
        match jwk.key.material() {
            KeyMaterial::Rsa { modulus, exponent } => {
                "RSA".clone_into(&mut members.kty);
                (members.n, members.e) = (base64(modulus), base64(exponent));
            }
            KeyMaterial::Ec { curve, x, y } => {
                "EC".clone_into(&mut members.kty);
                members.crv = Some(curve.name().to_owned());
                (members.x, members.y) = (base64(x), base64(y));
            }
            KeyMaterial::Ed25519(x) => {
                "OKP".clone_into(&mut members.kty);
                members.crv = Some("Ed25519".to_owned());
                members.x = base64(x);
            }
        }
        members
    }
}

impl TryFrom<JwkMembers> for Jwk {
    type Error = JwkError;

    fn try_from(members: JwkMembers) -> Result<Self, JwkError> {
        let key = match (members.kty.as_str(), members.crv.as_deref()) {
            ("RSA", _) => PublicKey::rsa(&bytes("n", members.n)?, &bytes("e", members.e)?)?,
            ("EC", Some(name)) => {
                let curve = Curve::ALL.into_iter().find(|curve| curve.name() == name);
                let curve = curve.ok_or_else(|| JwkError::Unsupported(format!("EC {name}")))?;
                PublicKey::ec(curve, &bytes("x", members.x)?, &bytes("y", members.y)?)?
            }
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(&bytes("x", members.x)?)?,
            ("EC" | "OKP", None) => return Err(JwkError::Missing("crv")),
            (kind, curve) => {
                return Err(JwkError::Unsupported(
                    [kind, curve.unwrap_or_default()]
                        .join(" ")
                        .trim()
                        .to_owned(),
                ));
            }
        };
        let chain = members
            .x5c
            .iter()
            .map(|text| certificate(text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            key,
            key_id: members.kid,
            algorithm: members.alg,
            usage: members.usage,
            chain,
        })
    }
}

fn bytes(name: &'static str, member: Option<String>) -> Result<Vec<u8>, JwkError> {
    let text = member.ok_or(JwkError::Missing(name))?;
    // RFC 7515 §2 has no padding, but some tools write it.
    BASE64URL_NOPAD
        .decode(text.trim_end_matches('=').as_bytes())
        .map_err(|_| JwkError::Base64(name))
}

fn certificate(text: &str) -> Result<Certificate, JwkError> {
    // RFC 7517 §4.7: base64, not base64url.
    let der = BASE64
        .decode(text.as_bytes())
        .map_err(|_| JwkError::Chain)?;
    Certificate::from_der(&der).map_err(|_| JwkError::Chain)
}
