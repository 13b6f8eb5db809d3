//! The section `casbin_authz`: a Casbin model and its policy, read and checked.

use std::path::PathBuf;
use std::sync::Arc;

use auth::CASBIN_VALUES;
use policy::casbin::{CasbinError, CasbinFile, CasbinWarning, Enforcer};

use super::diagnostics::Severity;
use super::schema::key;
use super::section::{Located, Section};

/// A Casbin policy.
#[derive(Clone, Debug)]
pub(crate) struct CasbinConfig {
    pub(crate) enforcer: Arc<Enforcer>,
    /// The file of the policy.
    pub(crate) policy: PathBuf,
}

/// The two files of the section.
struct CasbinPaths<'a> {
    model: Located<'a, PathBuf>,
    policy: Located<'a, PathBuf>,
}

impl CasbinConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let model = section.locate(
            key::path("model_path")
                .docker_auth()
                .required("write the file of the Casbin model")
                .means("the file of the Casbin model; read again when it changes"),
        );
        let policy = section.locate(
            key::path("policy_path")
                .docker_auth()
                .required("write the file of the Casbin policy")
                .means("the file of the Casbin policy; read again when it changes"),
        );
        let paths = CasbinPaths {
            model: model?,
            policy: policy?,
        };
        // Both are read before one can fail, so that all errors are reported.
        let (model, policy) = (text(&paths.model), text(&paths.policy));
        match Enforcer::compile(&model?, &policy?, CASBIN_VALUES) {
            Ok(enforcer) => {
                for CasbinWarning { file, line, kind } in enforcer.warnings() {
                    paths.report(Severity::Warning, *file, *line, kind.to_string());
                }
                Some(Self {
                    enforcer: Arc::new(enforcer),
                    policy: paths.policy.value,
                })
            }
            Err(errors) => {
                for CasbinError {
                    file,
                    line,
                    problem,
                } in errors
                {
                    paths.report(Severity::Error, file, line, problem.to_string());
                }
                None
            }
        }
    }
}

impl CasbinPaths<'_> {
    fn report(&self, severity: Severity, file: CasbinFile, line: usize, message: String) {
        let located = match file {
            CasbinFile::Model => &self.model,
            CasbinFile::Policy => &self.policy,
        };
        let context = located.setting.context;
        context.report_in(severity, &located.value, line, message);
    }
}

fn text(file: &Located<'_, PathBuf>) -> Option<String> {
    let text = String::from_utf8(file.read()?).map_err(|_| "not UTF-8");
    file.setting.checked_file(&file.value, text)
}
