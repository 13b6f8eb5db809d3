//! The key `gcs_token_db`: sign-ins in Google Cloud Storage.

use sign_in::{GcsSettings, ServiceAccountKey};

use super::super::super::schema::key;
use super::super::super::section::Section;
use super::super::{address, filled, warn_of_plain_http};
use super::read_hash_cost;

pub(super) fn read(section: &mut Section<'_>) -> Option<GcsSettings> {
    let bucket = section.find(
        key::parsed("bucket", "text", filled)
            .docker_auth()
            .required("write the name of the bucket")
            .means("the bucket; each user's record is the object with the user's name"),
    );
    let file = section.locate(
        key::path("client_secret_file")
            .docker_auth()
            .required("write the file with the key of a service account")
            .means("the key of a service account, as JSON, which may read, write, list and delete"),
    );
    let endpoint = section.locate(
        key::parsed("endpoint", "URL", address)
            .means("another address of the service, such as that of a private network")
            .otherwise(GcsSettings::ENDPOINT),
    );
    read_hash_cost(section);
    endpoint.iter().for_each(warn_of_plain_http);
    let key = file.as_ref().and_then(|file| {
        let key = ServiceAccountKey::from_json(&file.read()?);
        file.setting.checked_file(&file.value, key)
    });
    let endpoint = endpoint.map(|endpoint| endpoint.value);
    Some(GcsSettings {
        bucket: bucket?,
        key: key?,
        endpoint: endpoint.unwrap_or_else(|| GcsSettings::ENDPOINT.to_owned()),
    })
}
