//! Settings files with mistakes, and machines that do not give what is asked for.

use std::net::TcpListener;
use std::path::Path;

use portcullis_tests::cli::{Run, portcullis};
use portcullis_tests::show::{listing, redact};

const FILE: &str = "portcullis.yaml";

async fn check(folder: &Path, text: &str) -> Run {
    std::fs::write(folder.join(FILE), text).expect("a settings file");
    portcullis(folder, &["check", FILE]).await
}

#[tokio::test]
async fn a_settings_file_with_a_mistake() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        (
            "a good one",
            "listen: 127.0.0.1:4000\nlimits:\n  body_bytes_max: 65536\n",
        ),
        (
            "a typo",
            "listen: 127.0.0.1:4000\nlimts:\n  body_bytes_max: 65536\n",
        ),
        (
            "a typo further down",
            "limits:\n  body_bytes_max: 65536\n  sesions_max: 5\n",
        ),
        ("an unknown value", "log:\n  level: infos\n"),
        (
            "a value of another type",
            "limits:\n  body_bytes_max: much\n",
        ),
        (
            "a value out of range",
            "# a comment\nlimits:\n  body_bytes_max: 1\n",
        ),
        ("an address that is none", "listen: nowhere\n"),
        (
            "one address twice",
            "listen: 127.0.0.1:4000\nadmin_listen: 127.0.0.1:4000\n",
        ),
        ("a short admin token", "admin_token: short\n"),
        ("an unset variable", "admin_token: ${NOT_SET_ANYWHERE}\n"),
        ("a key twice", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n"),
        ("no YAML", "listen: [\n"),
    ];
    let mut shown = Vec::new();
    for (title, text) in cases {
        let run = check(folder.path(), text).await;
        assert_eq!(
            run.code,
            if title == "a good one" { 0 } else { 2 },
            "{title}: {}",
            run.shown()
        );
        shown.push((title, run.shown()));
    }
    shown.push((
        "no file",
        portcullis(folder.path(), &["check", "nowhere.yaml"])
            .await
            .shown(),
    ));
    insta::assert_snapshot!(listing(&shown), @r#"
    a good one
        exit 0
        portcullis.yaml: valid
    a typo
        exit 2
        portcullis: portcullis.yaml:2: unknown key `limts`: did you mean `limits`?
    a typo further down
        exit 2
        portcullis: portcullis.yaml:3: limits: unknown key `sesions_max`: did you mean `sessions_max`?
    an unknown value
        exit 2
        portcullis: portcullis.yaml:2: log.level: unknown value `infos`: did you mean `info`?
    a value of another type
        exit 2
        portcullis: portcullis.yaml:2: limits.body_bytes_max: invalid type: string "much", expected a whole number
    a value out of range
        exit 2
        portcullis: portcullis.yaml:3: limits.body_bytes_max: 1 is out of range: use 1024 to 1073741824
    an address that is none
        exit 2
        portcullis: portcullis.yaml:1: listen: this is not an address and port: write it as 127.0.0.1:4444
    one address twice
        exit 2
        portcullis: portcullis.yaml:2: admin_listen: 127.0.0.1:4000 is `listen` too: give the admin API a port of its own
    a short admin token
        exit 2
        portcullis: portcullis.yaml:1: admin_token: use at least 16 printable ASCII characters without spaces
    an unset variable
        exit 2
        portcullis: portcullis.yaml:1: the variable NOT_SET_ANYWHERE is not set: set it, or give a default as ${NOT_SET_ANYWHERE:-default}
    a key twice
        exit 2
        portcullis: portcullis.yaml:1: the key `listen` is given twice
    no YAML
        exit 2
        portcullis: portcullis.yaml:1: listen: invalid type: sequence, expected socket address
    no file
        exit 2
        portcullis: nowhere.yaml: No such file or directory (os error 2)
    "#);
}

#[tokio::test]
async fn the_defaults_are_good_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let defaults = portcullis(folder.path(), &["check", "--print-defaults"]).await;
    let run = check(folder.path(), &defaults.out).await;
    assert_eq!(run.code, 0, "{}", run.shown());
}

#[tokio::test]
async fn a_gateway_that_cannot_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Whoever runs the tests may write anywhere: a folder below a file can be made by nobody.
    std::fs::write(folder.path().join("file"), "").expect("a file");
    std::fs::write(folder.path().join("typo.yaml"), "lisen: 127.0.0.1:0\n").expect("a file");
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy_address = busy.local_addr().expect("its address").to_string();
    let cases: [(&str, Vec<&str>); 4] = [
        (
            "a port in use",
            vec![
                "serve",
                "--listen",
                &busy_address,
                "--admin-listen",
                "127.0.0.1:0",
                "--data-dir",
                "data",
            ],
        ),
        (
            "the admin's port in use",
            vec![
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                &busy_address,
                "--data-dir",
                "data",
            ],
        ),
        (
            "a folder that cannot be written",
            [&["serve", "--data-dir", "file/data"][..], &free].concat(),
        ),
        (
            "a typo",
            [
                &["serve", "--config", "typo.yaml", "--data-dir", "data"][..],
                &free,
            ]
            .concat(),
        ),
    ];
    let mut shown = Vec::new();
    for (title, arguments) in cases {
        let run = portcullis(folder.path(), &arguments).await;
        assert_ne!(run.code, 0, "{title}");
        // Log lines come before the error; the error is the last line.
        let last = run.err.lines().last().unwrap_or_default().to_owned();
        shown.push((title, format!("exit {}\n{last}", run.code)));
    }
    insta::assert_snapshot!(redact(&listing(&shown), &[(&busy_address, "ADDRESS")]), @r#"
    a port in use
        exit 1
        portcullis: ADDRESS cannot be listened on (Address already in use (os error 98)); free it, or choose another with `--listen`
    the admin's port in use
        exit 1
        portcullis: ADDRESS cannot be listened on (Address already in use (os error 98)); free it, or choose another with `--admin-listen`
    a folder that cannot be written
        exit 1
        portcullis: the data folder file/data cannot be used: Not a directory (os error 20). Give this user write access to it, or choose another folder with --data-dir
    a typo
        exit 2
        portcullis: typo.yaml:1: unknown key `lisen`: did you mean `listen`?
    "#);
}
