//! The text that `up` prints: everything that is needed to log in, ready to copy.

use super::create::Created;
use super::endpoint::Endpoint;
use super::installation::Installation;

/// The text after everything was created.
pub(super) fn first(
    installation: &Installation,
    endpoint: &Endpoint,
    created: &Created,
    place: ProgramPlace,
) -> String {
    let registry = &endpoint.registry;
    let mut text = format!(
        "Created {directory}: configuration, keys{authority} and database.\n\
         Password of the user admin: {password}\n\
         It is also in {file}: delete that file when you have stored the password elsewhere.\n\
         To set another one: wharfinger passwd {configuration} admin\n\
         \n",
        directory = installation.directory().display(),
        authority = if created.authority.is_some() {
            ", certificates"
        } else {
            ""
        },
        password = created.password.expose(),
        file = installation.password().display(),
        configuration = shell_word(&installation.configuration().display().to_string()),
    );
    match &created.authority {
        Some(authority) => text += &trust(registry, authority),
        None => text += &insecure(registry),
    }
    // The file is not where docker is: on other machines, or outside of the container.
    let (note, password) = match place {
        ProgramPlace::Machine if created.authority.is_none() => {
            let file = shell_word(&installation.password().display().to_string());
            ("", format!(" --password-stdin < {file}"))
        }
        ProgramPlace::Machine | ProgramPlace::Container => {
            (" (docker asks for the password above)", String::new())
        }
    };
    text += &format!(
        "Log in{note}, push, pull:\n\
         \n  docker login {registry} -u admin{password}\
         \n  docker pull busybox\
         \n  docker tag busybox {registry}/busybox\
         \n  docker push {registry}/busybox\
         \n  docker pull {registry}/busybox\n\n\
         Add the next person, while this runs:\n\
         \n  wharfinger user add {configuration} bob\
         \n  wharfinger rule add {configuration} --account bob --name 'bob/*' --actions '*'\n\n",
        configuration = shell_word(&installation.configuration().display().to_string()),
    );
    text
}

/// Where this program runs, as seen from the docker that uses the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgramPlace {
    /// On the same machine: its files can be named.
    Machine,
    /// In a container, whose first process it is.
    Container,
}

impl ProgramPlace {
    pub(super) fn here() -> Self {
        if std::process::id() == 1 {
            Self::Container
        } else {
            Self::Machine
        }
    }
}

/// What docker needs for plain HTTP on this machine (moby's `daemon.json`).
fn insecure(registry: &str) -> String {
    format!(
        "Docker 29.10 and newer refuses plain HTTP here if /etc/docker/daemon.json has \
         \"insecure-registries\".\n\
         Then add this registry to that list, and restart docker:\n\
         \n  \"insecure-registries\": [\"{registry}\"]\n\n\
         podman, buildah and skopeo need the option --tls-verify=false for it.\n\n"
    )
}

/// The text if there was an installation already.
pub(super) fn again(installation: &Installation) -> String {
    format!(
        "Starting with configuration {}\n",
        installation.configuration().display()
    )
}

/// `text` as one word of a shell's command line.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Commands that make clients on other machines trust the authority. Docker: "Verify repository
/// client with certificates"; containerd: docs/hosts.md.
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
         and containerd (if its config_path is /etc/containerd/certs.d):\n\
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(shell_word("/srv/a.b-c"), "/srv/a.b-c");
        assert_eq!(shell_word("/srv/a b"), "'/srv/a b'");
        assert_eq!(shell_word("/it's"), "'/it'\\''s'");
    }
}
