//! What `up` prints: all that somebody needs to go on, ready to copy.

use super::create::Created;
use super::endpoint::Endpoint;
use super::installation::Installation;

/// After everything was made.
pub(super) fn first(installation: &Installation, endpoint: &Endpoint, made: &Created) -> String {
    let registry = &endpoint.registry;
    let mut text = format!(
        "Made {directory}: configuration, keys{authority} and database are in it.\n\
         The password of the user admin is shown here and never again; its hash is in {configuration}.\n\
         \n",
        directory = installation.directory().display(),
        authority = if made.authority.is_some() {
            ", certificates"
        } else {
            ""
        },
        configuration = installation.configuration().display(),
    );
    if let Some(authority) = &made.authority {
        text += &trust(registry, authority);
    }
    text += &format!(
        "Log in, push, pull:\n\
         \n  docker login {registry} -u admin -p {password}\
         \n  docker pull busybox\
         \n  docker tag busybox {registry}/busybox\
         \n  docker push {registry}/busybox\
         \n  docker pull {registry}/busybox\n\n",
        password = made.password.expose(),
    );
    text
}

/// After nothing was made.
pub(super) fn again(installation: &Installation) -> String {
    format!(
        "Starting what {} says.\n",
        installation.configuration().display()
    )
}

/// What makes clients on other machines trust the authority. Docker: "Verify repository client with
/// certificates"; containerd: docs/hosts.md.
fn trust(registry: &str, authority: &str) -> String {
    let authority = authority.trim_end();
    format!(
        "On every machine that pushes or pulls, as root, so that docker trusts it:\n\
         \n\
         mkdir -p /etc/docker/certs.d/{registry}\n\
         cat > /etc/docker/certs.d/{registry}/ca.crt <<'END'\n\
         {authority}\n\
         END\n\
         \n\
         and containerd (where its config_path is /etc/containerd/certs.d):\n\
         \n\
         mkdir -p /etc/containerd/certs.d/{registry}\n\
         cat > /etc/containerd/certs.d/{registry}/ca.crt <<'END'\n\
         {authority}\n\
         END\n\
         cat > /etc/containerd/certs.d/{registry}/hosts.toml <<'END'\n\
         server = \"https://{registry}\"\n\
         [host.\"https://{registry}\"]\n\
         \x20 ca = \"/etc/containerd/certs.d/{registry}/ca.crt\"\n\
         END\n\
         \n"
    )
}
