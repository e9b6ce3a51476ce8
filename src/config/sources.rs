//! Where values come from, and the only reading of the process environment.

use std::fmt;
use std::path::PathBuf;

use super::keys::ENV_PREFIX;

/// The file that is read when nothing nearer is there.
pub const SYSTEM_FILE: &str = "/etc/vix-registry/config.toml";

/// The variable that names the configuration file.
pub const CONFIG_ENV: &str = "VIX_REGISTRY_CONFIG";

/// The variable by which systemd tells where credentials are, and the name of ours.
pub(super) const CREDENTIALS_ENV: &str = "CREDENTIALS_DIRECTORY";
pub(super) const ADMIN_CREDENTIAL: &str = "admin-token";

/// What a configuration is made of, strongest first. Each one may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// Dotted keys and their values, as flags gave them.
    pub flags: Vec<(String, String)>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables; others than this program's own may be among them.
    pub env: Vec<(String, String)>,
    /// The file of last resort; see [`SYSTEM_FILE`].
    pub system_file: PathBuf,
}

impl Sources {
    /// The sources of this process: its environment and the system's file.
    pub fn of_process() -> Self {
        Self { env: process_env(), system_file: PathBuf::from(SYSTEM_FILE), ..Self::default() }
    }
}

/// The variables that concern this program. What is not UTF-8 gets replacement characters, which paths refuse.
fn process_env() -> Vec<(String, String)> {
    let ours = |name: &str| name.starts_with(ENV_PREFIX) || name == CREDENTIALS_ENV;
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| ours(name))
        .collect()
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, at a line if that is known.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag,
    /// A credential that systemd handed over.
    Credential,
}

impl Origin {
    /// Whether both belong to the same source, where a key may be given once.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(..), Self::File(..)) | (Self::Env(_), Self::Env(_)) | (Self::Flag, Self::Flag) => true,
            (Self::Default | Self::File(..) | Self::Env(_) | Self::Flag | Self::Credential, _) => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag => f.write_str("flag"),
            Self::Credential => write!(f, "credential {ADMIN_CREDENTIAL}"),
        }
    }
}

/// Whether a variable is one of those that Kubernetes sets in every pod for a service whose name begins with
/// `vix-registry` (its "service environment variables"); `VIX_REGISTRY_PORT=tcp://…` is one.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if name.ends_with("_PORT") && is_url || name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") {
        return true;
    }
    if name.contains("_SERVICE_PORT_") {
        return true;
    }
    let Some((_, port)) = name.split_once("_PORT_") else { return false };
    let (number, rest) = port.split_once('_').unwrap_or((port, ""));
    let protocol = ["TCP", "UDP", "SCTP"].iter().any(|protocol| rest.starts_with(protocol));
    protocol && number.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_told_from_ours() {
        for (name, value, expected) in [
            ("VIX_REGISTRY_PORT", "tcp://10.0.0.1:8080", true),
            ("VIX_REGISTRY_PORT", "8080", false),
            ("VIX_REGISTRY_SERVICE_HOST", "10.0.0.1", true),
            ("VIX_REGISTRY_SERVICE_PORT", "8080", true),
            ("VIX_REGISTRY_SERVICE_PORT_HTTP", "8080", true),
            ("VIX_REGISTRY_PORT_8080_TCP", "tcp://10.0.0.1:8080", true),
            ("VIX_REGISTRY_PORT_8080_TCP_ADDR", "10.0.0.1", true),
            ("VIX_REGISTRY_HEADLESS_SERVICE_HOST", "None", true),
            ("VIX_REGISTRY_PORT_FOO_TCP", "x", false),
            ("VIX_REGISTRY_HTTP_LISTEN", "127.0.0.1:1", false),
        ] {
            assert_eq!(is_service_link(name, value), expected, "{name}={value}");
        }
    }
}
