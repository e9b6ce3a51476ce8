//! From sources to one checked configuration: flag over environment over file over default.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::alias::{ALIASES, Alias, Meaning};
use super::error::{ConfigError, Problem, nearest, shown};
use super::file;
use super::keys::{ENV_PREFIX, KEYS, Key, SECTIONS};
use super::kind::Raw;
use super::sources::{ADMIN_CREDENTIAL, CONFIG_ENV, CREDENTIALS_ENV, Origin, Sources, is_service_link};
use super::types::Config;

/// A configuration, and how it came to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What should be said aloud before the program goes on; one sentence each.
    pub warnings: Vec<String>,
    /// Where the values came from that are not defaults, by key.
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the value of a key came from.
    pub fn origin(&self, key: &Key) -> &Origin {
        self.origins.get(key.name).unwrap_or(&Origin::Default)
    }
}

impl Config {
    /// What holds when nobody sets anything.
    pub fn defaults() -> Self {
        let mut config = Self::default();
        for key in KEYS {
            let taken = key.kind.assign(&mut config, &Raw::Word(key.default.to_owned()), Path::new(""));
            debug_assert!(taken.is_ok(), "the default of {} is none: {taken:?}", key.name);
        }
        config
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// Unknown keys and variables, values of the wrong kind or out of range, an unreadable or ambiguous file: all of
    /// them at once, each with what is wrong, why, and what to do.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
        let mut loader = Loader::new();
        let found = loader.file(sources)?;
        loader.env(&sources.env);
        loader.flags(sources);
        loader.credential(&sources.env);
        loader.check(found.as_deref());
        let Loader { loaded, problems, .. } = loader;
        if problems.is_empty() { Ok(loaded) } else { Err(ConfigError { problems }) }
    }
}

/// A configuration on its way.
struct Loader {
    loaded: Loaded,
    problems: Vec<Problem>,
    /// What `artifacts_dir` asked for: it can only be judged once the data directory is known.
    artifacts_dir: Option<(PathBuf, Origin)>,
}

impl Loader {
    fn new() -> Self {
        let config = Config::defaults();
        let loaded = Loaded { config, file: None, warnings: Vec::new(), origins: BTreeMap::new() };
        Self { loaded, problems: Vec::new(), artifacts_dir: None }
    }

    /// Reads the file, if there is one; returns the data directory when the file was found in it.
    fn file(&mut self, sources: &Sources) -> Result<Option<PathBuf>, ConfigError> {
        let env = |name: &str| value_of(&sources.env, name).map(PathBuf::from);
        let flag = value_of(&sources.flags, "data").map(PathBuf::from);
        let data = sources.data.clone().or(flag).or_else(|| env("VIX_REGISTRY_DATA"));
        let data = data.unwrap_or_else(|| self.loaded.config.data.clone());
        let named = sources.file.clone().or_else(|| env(CONFIG_ENV));
        let Some(path) = file::find(named.as_deref(), &data, &sources.system_file)? else { return Ok(None) };
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        for entry in file::read(&path)? {
            self.set(&entry.name, &entry.raw, Origin::File(path.clone(), entry.line), &base);
        }
        self.loaded.file = Some(path.clone());
        Ok((named.is_none() && path.parent() == Some(&data)).then_some(data))
    }

    /// Takes all variables of ours; an empty one counts as not set.
    fn env(&mut self, env: &[(String, String)]) {
        let mut links = 0_usize;
        for (name, value) in env.iter().filter(|(name, value)| name.starts_with(ENV_PREFIX) && !value.is_empty()) {
            let key = KEYS.iter().find(|key| key.env() == *name).map(|key| key.name);
            let alias = || ALIASES.iter().find(|alias| alias.env() == *name).map(|alias| alias.name);
            if is_service_link(name, value) {
                links += 1;
            } else if let Some(key) = key.or_else(alias) {
                self.set(key, &Raw::Word(value.clone()), Origin::Env(name.clone()), Path::new(""));
            } else if name != CONFIG_ENV {
                self.unknown_variable(name);
            }
        }
        if links > 0 {
            self.loaded.warnings.push(format!(
                "{links} variables of a Kubernetes service named vix-registry… are ignored: set \
                 `enableServiceLinks: false` in the pod"
            ));
        }
    }

    fn flags(&mut self, sources: &Sources) {
        for (name, value) in &sources.flags {
            self.set(name, &Raw::Word(value.clone()), Origin::Flag, Path::new(""));
        }
        if let Some(data) = &sources.data {
            self.loaded.config.data.clone_from(data);
            self.loaded.origins.insert("data", Origin::Flag);
        }
    }

    fn credential(&mut self, env: &[(String, String)]) {
        let Some(dir) = value_of(env, CREDENTIALS_ENV) else { return };
        let path = Path::new(dir).join(ADMIN_CREDENTIAL);
        if !self.loaded.origins.contains_key("admin_token_file") && path.is_file() {
            self.loaded.config.admin_token_file = Some(path);
            self.loaded.origins.insert("admin_token_file", Origin::Credential);
        }
    }

    /// Takes one value under a key's or an earlier name.
    fn set(&mut self, name: &str, raw: &Raw, origin: Origin, base: &Path) {
        if let Some(key) = Key::find(name) {
            self.assign(key, raw, origin, base);
        } else if let Some(alias) = Alias::find(name) {
            let (instead, source) = (alias.instead, &origin);
            self.loaded.warnings.push(format!("`{name}` ({source}) is an earlier name: write {instead}"));
            self.set_alias(alias, raw, origin, base);
        } else {
            self.unknown_key(name, &origin);
        }
    }

    fn assign(&mut self, key: &'static Key, raw: &Raw, origin: Origin, base: &Path) {
        if self.is_free(key, &origin) {
            match key.kind.assign(&mut self.loaded.config, raw, base) {
                Ok(()) => drop(self.loaded.origins.insert(key.name, origin)),
                Err(why) => self.refuse(key.name, raw, &origin, why),
            }
        }
    }

    /// Whether the same source has not set the key already, perhaps under its earlier name.
    fn is_free(&mut self, key: &Key, origin: &Origin) -> bool {
        let Some(before) = self.loaded.origins.get(key.name).filter(|before| before.is_beside(origin)) else {
            return true;
        };
        let what = format!("`{}` is set twice ({before} and {origin})", key.name);
        self.problem(what, "one source can give a key one value", "remove one of the two");
        false
    }

    fn set_alias(&mut self, alias: &Alias, raw: &Raw, origin: Origin, base: &Path) {
        let number = raw.whole();
        match alias.meaning {
            Meaning::Key(name) => self.set(name, raw, origin, base),
            Meaning::Milliseconds(name) => match number {
                Some(ms) => self.set(name, &Raw::Word(format!("{ms} ms")), origin, base),
                None => self.refuse(alias.name, raw, &origin, "it takes a whole number of milliseconds".to_owned()),
            },
            Meaning::ListenPort => match (number.and_then(|n| u16::try_from(n).ok()), Key::find("http.listen")) {
                (Some(port), Some(key)) => {
                    if self.is_free(key, &origin) {
                        self.loaded.config.http.listen.set_port(port);
                        self.loaded.origins.insert(key.name, origin);
                    }
                }
                (None, _) | (_, None) => {
                    self.refuse(alias.name, raw, &origin, "it takes a port from 0 to 65535".to_owned());
                }
            },
            Meaning::StorageBackend => {
                if raw.text() != Some("redb") {
                    self.refuse(alias.name, raw, &origin, "there is one storage backend, `redb`".to_owned());
                }
            }
            Meaning::ArtifactsDir => match raw.text() {
                Some(text) if !text.is_empty() => self.artifacts_dir = Some((base.join(text), origin)),
                Some(_) | None => self.refuse(alias.name, raw, &origin, "it takes a path".to_owned()),
            },
        }
    }

    /// What only shows once all values are there.
    fn check(&mut self, found_in: Option<&Path>) {
        let data = self.loaded.config.data.clone();
        if let Some(dir) = found_in.filter(|dir| !is_same(dir, &data)) {
            let what =
                format!("`data` can't be `{}` in a file of the data directory `{}`", data.display(), dir.display());
            let next = "remove `data` there, or start with --data or --config";
            self.problem(what, "the file was found because it lies in another data directory", next);
        }
        if let Some((dir, origin)) = self.artifacts_dir.take().filter(|(dir, _)| !is_same(dir, &data.join("blobs"))) {
            let why = "artifacts are part of the data directory, so that one copy of it is a whole backup".to_owned();
            let raw = Raw::Word(dir.display().to_string());
            self.refuse(
                "artifacts_dir",
                &raw,
                &origin,
                format!("{why}: they are always in `{}`", data.join("blobs").display()),
            );
        }
        let token = self.loaded.config.admin_token_file.as_ref().and_then(|path| path.file_name()?.to_str());
        if token.is_some_and(|name| name.starts_with("vixr_") || name.starts_with("sha256:")) {
            let next = "write the token into a file that only its owner can read, and name that file";
            self.problem("`admin_token_file` can't be a token".to_owned(), "it takes the path of a file", next);
        }
        let http = &self.loaded.config.http;
        if !http.listen.ip().is_loopback() && http.trusted_proxies.is_empty() {
            self.loaded.warnings.push(format!(
                "`http.listen` is {}, which other machines reach, and the connection is not encrypted: put a proxy \
                 with TLS in front and name it in `http.trusted_proxies`",
                http.listen
            ));
        }
    }

    fn unknown_key(&mut self, name: &str, origin: &Origin) {
        let sections = SECTIONS.iter().map(|(section, _)| *section).filter(|section| !section.is_empty());
        let aliases = ALIASES.iter().map(|alias| alias.name);
        let meant = nearest(name, KEYS.iter().map(|key| key.name).chain(sections).chain(aliases));
        let by_last_part = || KEYS.iter().map(|key| key.name).find(|key| key.split('.').next_back() == Some(name));
        let next = suggestion(meant.or_else(by_last_part), "`vix-registry config show` lists all keys");
        self.problem(format!("unknown key `{}` ({origin})", shown(name)), "no setting has this name", next);
    }

    fn unknown_variable(&mut self, name: &str) {
        let names: Vec<String> = KEYS.iter().map(Key::env).chain([CONFIG_ENV.to_owned()]).collect();
        let next = suggestion(
            nearest(name, names.iter().map(String::as_str)),
            "unset it; `vix-registry config show` lists all keys",
        );
        let why = "variables that begin with `VIX_REGISTRY_` set keys, and no key has this one";
        self.problem(format!("unknown environment variable `{}`", shown(name)), why, next);
    }

    fn refuse(&mut self, name: &str, raw: &Raw, origin: &Origin, why: String) {
        let default = Key::find(name).map_or_else(String::new, |key| format!(" for the default, `{}`", key.default));
        let next = format!("change it, or remove it{default}");
        self.problem(format!("`{name}` can't be {} ({origin})", raw.show()), why, next);
    }

    fn problem(&mut self, what: String, why: impl Into<String>, next: impl Into<String>) {
        self.problems.push(Problem { what, why: why.into(), next: next.into() });
    }
}

fn suggestion(meant: Option<&str>, otherwise: &str) -> String {
    meant.map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`? Otherwise remove it"))
}

/// The last value under a name, if it is not empty.
fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// Whether two paths lead to the same place, as far as can be told: one that is not there yet is compared by its parts.
fn is_same(a: &Path, b: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => plain(a) == plain(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_found_in_one_data_directory_cannot_name_another() {
        for (named, problems) in [("./reg", 0), ("reg/", 0), ("elsewhere", 1), ("/reg", 1)] {
            let mut loader = Loader::new();
            loader.loaded.config.data = named.into();
            loader.check(Some(Path::new("reg")));
            assert_eq!(loader.problems.len(), problems, "{named}: {:?}", loader.problems);
        }
    }
}
