//! Settings from files, variables and flags; the texts of errors.

use std::path::{Path, PathBuf};

use super::{
    ConfigError, DEFAULTS, Environment, Loaded, RawLog, RawSettings, Settings, keys, load,
};

fn nothing() -> Environment {
    Environment::default()
}

/// Settings of a file with this text.
fn from_text(text: &str, environment: &Environment) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.yaml");
    std::fs::write(&file, text).unwrap();
    load(Some(&file), environment, RawSettings::default())
        .map_err(|error| nameless(error, folder.path()))
}

/// The error with the folder's name taken out.
fn nameless(error: ConfigError, folder: &Path) -> ConfigError {
    let short = |path: PathBuf| {
        path.strip_prefix(folder)
            .map(Path::to_owned)
            .unwrap_or(path)
    };
    match error {
        ConfigError::File {
            path,
            line,
            message,
        } => ConfigError::File {
            path: short(path),
            line,
            message,
        },
        ConfigError::Invalid {
            place,
            key,
            message,
        } => ConfigError::Invalid {
            place: place.replace(&format!("{}/", folder.display()), ""),
            key,
            message,
        },
        other @ (ConfigError::Read { .. }
        | ConfigError::Variable { .. }
        | ConfigError::AdminToken { .. }) => other,
    }
}

fn error_of(text: &str) -> String {
    let environment = Environment::from_iter([("PORT", "80"), ("ODD", "a: b")]);
    from_text(text, &environment).unwrap_err().to_string()
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    assert_eq!(
        from_text(DEFAULTS, &nothing()).unwrap().settings,
        Settings::default()
    );
    assert_eq!(
        load(None, &nothing(), RawSettings::default())
            .unwrap()
            .settings,
        Settings::default()
    );
    for key in keys::paths() {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            DEFAULTS.contains(&format!("{name}:")),
            "{key} is not in the printed defaults"
        );
    }
}

#[test]
fn every_key_has_a_variable() {
    // serde lists the known keys when it meets an unknown one.
    let known = |section: Option<&str>| -> Vec<String> {
        let text = match section {
            Some(section) => format!("{{\"{section}\": {{\"?\": 1}}}}"),
            None => "{\"?\": 1}".to_owned(),
        };
        let message = serde_json::from_str::<RawSettings>(&text)
            .unwrap_err()
            .to_string();
        let names = message.split('`').skip(3).step_by(2);
        names
            .map(|name| {
                section.map_or_else(|| name.to_owned(), |section| format!("{section}.{name}"))
            })
            .collect()
    };
    let sections = ["log", "limits", "catalogue", "sandbox", "plugins"];
    let mut all: Vec<String> = known(None)
        .into_iter()
        .filter(|key| !sections.contains(&key.as_str()))
        .collect();
    all.extend(sections.iter().flat_map(|section| known(Some(section))));
    all.sort();
    let mut in_table: Vec<&str> = keys::paths().collect();
    in_table.sort_unstable();
    assert_eq!(in_table, all);
}

#[test]
fn flags_go_over_variables_and_variables_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "listen: 127.0.0.1:1\nadmin_listen: 127.0.0.1:2\ndrain_timeout_s: 3\nlimits:\n  sessions_max: 7\n").unwrap();
    let environment = Environment::from_iter([
        ("PORTCULLIS_ADMIN_LISTEN", "127.0.0.1:22"),
        ("PORTCULLIS_DRAIN_TIMEOUT_S", "33"),
        ("PORTCULLIS_LIMITS_BODY_BYTES_MAX", "4096"),
        (
            "PORTCULLIS_ALLOWED_ORIGINS",
            "https://A.example, http://localhost:3000",
        ),
        ("PORTCULLIS_LOG_FORMAT", "text"),
        ("PORTCULLIS_DEFAULT_SERVER", ""),
    ]);
    let flags = RawSettings {
        drain_timeout_s: Some(333),
        log: RawLog::default(),
        ..RawSettings::default()
    };
    let settings = load(Some(&file), &environment, flags).unwrap().settings;
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.admin_listen.port(), 22);
    assert_eq!(settings.drain_timeout_s, 333);
    assert_eq!(
        (settings.limits.sessions_max, settings.limits.body_bytes_max),
        (7, 4096)
    );
    assert_eq!(
        settings.allowed_origins,
        ["https://a.example", "http://localhost:3000"]
    );
    assert_eq!(settings.log.format, super::LogFormat::Text);
    assert_eq!(settings.default_server, None);
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "\n", "# nothing\n", "---\n"] {
        assert_eq!(
            from_text(text, &nothing()).unwrap().settings,
            Settings::default(),
            "{text:?}"
        );
    }
}

#[test]
fn errors_name_line_key_and_the_nearest_known_key() {
    insta::assert_snapshot!(error_of("log:\n  format: json\nlimits:\n  body_byte_max: 1\n"), @"portcullis.yaml:4: limits: unknown key `body_byte_max`: did you mean `body_bytes_max`?");
    insta::assert_snapshot!(error_of("# a comment\nlisten: 127.0.0.1:1\nadmin-listen: 127.0.0.1:2\n"), @"portcullis.yaml:3: unknown key `admin-listen`: did you mean `admin_listen`?");
    insta::assert_snapshot!(error_of("zebra: 1\n"), @"portcullis.yaml:1: unknown key `zebra`: use one of listen, admin_listen, data_dir, admin_token, log, seal_key, limits, catalogue, allowed_origins, default_server, oauth_callback_url, drain_timeout_s, worker_threads, sandbox, plugins");
    insta::assert_snapshot!(error_of("log:\n  format: jsn\n"), @"portcullis.yaml:2: log.format: unknown value `jsn`: did you mean `json`?");
    insta::assert_snapshot!(error_of("limits:\n  sessions_max: many\n"), @r#"portcullis.yaml:2: limits.sessions_max: invalid type: string "many", expected a whole number"#);
    insta::assert_snapshot!(error_of("limits:\n  sessions_max: -1\n"), @"portcullis.yaml:2: limits.sessions_max: invalid type: integer `-1`, expected a whole number");
    insta::assert_snapshot!(error_of("listen: 4444\n"), @"portcullis.yaml:1: listen: this is not an address and port: write it as 127.0.0.1:4444");
    insta::assert_snapshot!(error_of("log: text\n"), @r#"portcullis.yaml:1: log: invalid type: string "text", expected keys and values"#);
    insta::assert_snapshot!(error_of("allowed_origins: https://a.example\n"), @r#"portcullis.yaml:1: allowed_origins: invalid type: string "https://a.example", expected a list"#);
    insta::assert_snapshot!(error_of("worker_threads: 0\nlog: {}\n"), @"portcullis.yaml:1: worker_threads: 0 is out of range: use 1 to 1024");
    insta::assert_snapshot!(error_of("log:\n  level: info\nlog:\n  level: warn\n"), @"portcullis.yaml:1: the key `log` is given twice");
    insta::assert_snapshot!(error_of("log:\n  level: [\n"), @"portcullis.yaml:2: log.level: invalid type: sequence, expected a word");
    insta::assert_snapshot!(error_of("\nlimits:\n  # most\n  sessions_max: 0\n"), @"portcullis.yaml:4: limits.sessions_max: 0 is out of range: use 1 to 10000000");
    insta::assert_snapshot!(error_of("admin_listen: 127.0.0.1:4444\n"), @"portcullis.yaml:1: admin_listen: 127.0.0.1:4444 is `listen` too: give the admin API a port of its own");
    insta::assert_snapshot!(error_of("allowed_origins: [\"https://a.example/path\"]\n"), @"portcullis.yaml:1: allowed_origins[0]: `https://a.example/path` is not an origin: write it as https://app.example.com, without a path");
    insta::assert_snapshot!(error_of("default_server: Main\n"), @"portcullis.yaml:1: default_server: `Main` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`");
    insta::assert_snapshot!(error_of("oauth_callback_url: /oauth/callback\n"), @r#"portcullis.yaml:1: oauth_callback_url: relative URL without a base: "/oauth/callback""#);
    insta::assert_snapshot!(error_of("oauth_callback_url: https://a.example/cb?to=x\n"), @"portcullis.yaml:1: oauth_callback_url: `https://a.example/cb?to=x` is not possible: write it as https://gateway.example/oauth/callback");
    insta::assert_snapshot!(error_of("admin_token: short\n"), @"portcullis.yaml:1: admin_token: use at least 16 printable ASCII characters without spaces");
    insta::assert_snapshot!(error_of("seal_key: only-thirty-one-characters-long\n"), @"portcullis.yaml:1: seal_key: use at least 32 printable ASCII characters without spaces");
    insta::assert_snapshot!(error_of("catalogue:\n  page_entries_max: 0\n"), @"portcullis.yaml:2: catalogue.page_entries_max: 0 is out of range: use 1 to 10000");
    insta::assert_snapshot!(error_of("plugins:\n  require_signature: true\n"), @"portcullis.yaml:2: plugins.require_signature: nothing could be signed by a trusted key: name at least one in trusted_keys");
    insta::assert_snapshot!(error_of("plugins:\n  trusted_keys: [\"ed25519:AAAA\"]\n"), @"portcullis.yaml:2: plugins.trusted_keys[0]: this is no Ed25519 public key: write `ed25519:` and its 32 bytes in base64, or PEM (BEGIN PUBLIC KEY)");
    insta::assert_snapshot!(error_of("plugins:\n  registries:\n    - host: https://ghcr.io\n"), @"plugins.registries[0].host: `https://ghcr.io` is no host: write it as registry.example.com, or with a port as registry.example.com:5000");
    insta::assert_snapshot!(error_of("plugins:\n  registries:\n    - host: ghcr.io\n      username: me\n"), @"portcullis.yaml:2: plugins.registries[0]: `username` needs `password`");
    insta::assert_snapshot!(error_of("plugins:\n  registries: [{host: ghcr.io}, {host: GHCR.io}]\n"), @"plugins.registries[1].host: `ghcr.io` is given twice");
    insta::assert_snapshot!(error_of("log:\n  level: ${LEVEL}\n"), @"portcullis.yaml:2: the variable LEVEL is not set: set it, or give a default as ${LEVEL:-default}");
    insta::assert_snapshot!(error_of("log:\n  level: ${LEVEL\n"), @"portcullis.yaml:2: `${` without `}`: write ${NAME}, or $${ for a plain ${");
    insta::assert_snapshot!(error_of("listen: localhost${ODD}\n"), @"portcullis.yaml:1: the value of `${ODD}` holds characters that mean something in YAML: write it in double quotes");
}

#[test]
fn errors_of_variables_name_the_variable() {
    let error_of = |name: &str, value: &str| {
        let environment = Environment::from_iter([(name, value)]);
        load(None, &environment, RawSettings::default())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(error_of("PORTCULLIS_LIMITS_SESSIONS_MAX", "many"), @"PORTCULLIS_LIMITS_SESSIONS_MAX: `many` is not a whole number: invalid digit found in string");
    insta::assert_snapshot!(error_of("PORTCULLIS_LOG_LEVEL", "warning"), @"PORTCULLIS_LOG_LEVEL: unknown value `warning`: did you mean `warn`?");
    insta::assert_snapshot!(error_of("PORTCULLIS_LISTEN", "4444"), @"PORTCULLIS_LISTEN: this is not an address and port: write it as 127.0.0.1:4444");
    insta::assert_snapshot!(error_of("PORTCULLIS_PLUGINS_REQUIRE_SIGNATURE", "yes"), @"PORTCULLIS_PLUGINS_REQUIRE_SIGNATURE: `yes` is neither `true` nor `false`");
    insta::assert_snapshot!(error_of("PORTCULLIS_PLUGINS_REGISTRIES", "[{"), @"PORTCULLIS_PLUGINS_REGISTRIES: no JSON: EOF while parsing an object at line 1 column 2");
    insta::assert_snapshot!(error_of("PORTCULLIS_WORKER_THREADS", "0"), @"PORTCULLIS_WORKER_THREADS: worker_threads: 0 is out of range: use 1 to 1024");
}

#[test]
fn variables_that_are_no_settings_are_worth_a_word_when_they_are_near_misses() {
    let environment = Environment::from_iter([
        ("PORTCULLIS_LISTN", "127.0.0.1:1"),
        ("PORTCULLIS_ADMIN", "http://127.0.0.1:4445"),
        ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
        ("PORTCULLIS_PORT_4444_TCP_ADDR", "10.0.0.1"),
    ]);
    let warnings = load(None, &environment, RawSettings::default())
        .unwrap()
        .warnings;
    assert_eq!(
        warnings,
        ["the variable PORTCULLIS_LISTN is no setting: did you mean PORTCULLIS_LISTEN?"]
    );
}

#[test]
fn secrets_are_not_shown() {
    let environment = Environment::from_iter([
        ("PORTCULLIS_ADMIN_TOKEN", "a-very-secret-token"),
        (
            "PORTCULLIS_SEAL_KEY",
            "a-very-secret-key-of-32-letters-or-more",
        ),
        (
            "PORTCULLIS_PLUGINS_REGISTRIES",
            r#"[{"host": "ghcr.io", "username": "me", "password": "a-very-secret-password"}]"#,
        ),
    ]);
    let settings = load(None, &environment, RawSettings::default())
        .unwrap()
        .settings;
    let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
    assert!(!shown.contains("a-very-secret"), "{shown}");
    let login = settings.plugins.registries[0].login.as_ref();
    assert!(login.is_some_and(|login| login.password.expose().ends_with("-password")));
    assert!(
        settings
            .seal_key
            .as_ref()
            .is_some_and(|key| key.expose().ends_with("-more"))
    );
    assert_eq!(
        super::admin_token(&settings).unwrap().expose(),
        "a-very-secret-token"
    );
}

#[test]
fn an_admin_token_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        ..Settings::default()
    };
    let made = super::admin_token(&settings).unwrap();
    assert!(made.expose().len() > 40);
    assert_eq!(super::admin_token(&settings).unwrap(), made);
    assert_eq!(super::stored_admin_token(folder.path()).unwrap(), made);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("admin-token"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(folder.path().join("admin-token"), "\n").unwrap();
    assert!(
        super::admin_token(&settings).is_err(),
        "an empty token is not replaced without a word"
    );
}
