//! `mongo_auth` and `acl_mongo` in a program without the feature `mongo`: refused by name.

pub(crate) use std::convert::{Infallible as MongoRulesConfig, Infallible as MongoUsersConfig};

use policy::AclOptions;

use super::diagnostics::Problem;
use super::schema::{Kind, key};
use super::section::Section;

pub(super) fn read_users(root: &mut Section<'_>) -> Option<MongoUsersConfig> {
    refuse(root, "mongo_auth");
    None
}

pub(super) fn read_rules(root: &mut Section<'_>, _: AclOptions) -> Option<MongoRulesConfig> {
    refuse(root, "acl_mongo");
    None
}

fn refuse(root: &mut Section<'_>, name: &'static str) {
    let key = key::custom(name, Kind::Anything).docker_auth().later();
    let setting = root.setting(key.means("not in this build"));
    if let Some(setting) = setting {
        let message = "this program was built without the feature `mongo`; take one that has it";
        setting.report(Problem::Unsupported, message);
    }
}
