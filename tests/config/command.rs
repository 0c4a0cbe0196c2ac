//! Which file is read, and `sluice check-config`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sluice::config::file;

use super::SECRET;

/// A directory of its own for one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sluice-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_argument_names_the_file_then_the_variable_then_the_working_directory() {
    let directory = Directory::new("find");
    let find = |argument: Option<&Path>, variable: Option<&Path>| {
        file::find(argument, variable.map(Path::as_os_str), &directory.0).map(|file| file.map(|f| f.text))
    };
    assert_eq!(find(None, None), Ok(None));
    directory.write("sluice.toml", "working directory");
    let (a, b) = (directory.write("a.toml", "argument"), directory.write("b.toml", "variable"));
    assert_eq!(find(None, None).unwrap().as_deref(), Some("working directory"));
    assert_eq!(find(None, Some(Path::new(""))).unwrap().as_deref(), Some("working directory"));
    assert_eq!(find(None, Some(&b)).unwrap().as_deref(), Some("variable"));
    assert_eq!(find(Some(&a), Some(&b)).unwrap().as_deref(), Some("argument"));
    let missing = directory.0.join("missing.toml");
    let start = format!("the configuration file {} (from --config) cannot be read: ", missing.display());
    assert!(find(Some(&missing), None).unwrap_err().to_string().starts_with(&start));
    assert!(find(None, Some(&missing)).unwrap_err().to_string().contains("(from SLUICE_CONFIG)"));
}

fn sluice(directory: &Directory, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(&directory.0)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_config_lists_what_is_in_effect_without_secrets() {
    let directory = Directory::new("valid");
    directory.write(
        "sluice.toml",
        &format!("limits.sessions = 5\n[auth.stream_keys]\nlive = \"{SECRET}\"\n\"*\" = \"{SECRET}\""),
    );
    let arguments = ["--set", "log.format=json", "check-config", "--set", "auth.open=true"];
    let output = sluice(&directory, &[("SLUICE__LIMITS__SESSIONS", "7")], &arguments);
    let listing = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let start = "configuration is valid\n\n[http]\nlisten = \"127.0.0.1:8080\"\n";
    assert!(listing.starts_with(start), "{listing}");
    for line in [
        "stream_keys = { \"*\" = \"***\", live = \"***\" }  # sluice.toml:3, sluice.toml:4",
        "sessions = 7  # environment SLUICE__LIMITS__SESSIONS",
        "format = \"json\"  # --set log.format",
        "open = true  # --set auth.open",
    ] {
        assert!(listing.lines().any(|l| l == line), "{line}\nis not in\n{listing}");
    }
    assert!(!listing.contains("hunter2"));
    let body = listing.replace("configuration is valid", "").replace("***", SECRET);
    super::file(&body).expect("the listing is a valid file, apart from the hidden keys");
}

#[test]
fn check_config_tells_errors_on_standard_error_and_exits_with_2() {
    let directory = Directory::new("invalid");
    let path = directory.write("other.toml", "\nmedia.anounce = []");
    let output = sluice(&directory, &[], &["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    let line = format!("{}:2: unknown key `media.anounce`; did you mean `media.announce`?\n", path.display());
    assert_eq!(text(&output.stderr), line);
    let output = sluice(&directory, &[("SLUICE_CONFIG", "missing.toml")], &["check-config"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("the configuration file missing.toml (from SLUICE_CONFIG)"));
    let output = sluice(&directory, &[], &["--bananas"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_doctor_tells_people_and_programs_and_its_exit_status() {
    let directory = Directory::new("doctor");
    // Ports that are free, so that the report is the same beside any server of this machine.
    let ports = ["--set", "http.listen=127.0.0.1:0", "--set", "media.listen=127.0.0.1:0"];
    let ask = |more: &[&str]| sluice(&directory, &[], &[&["doctor"], &ports[..], more].concat());
    let output = ask(&["--json", "--set", "media.announce=no.such.name.invalid"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), String::new()));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "error");
    let told = text(&ask(&["--set", "media.announce=203.0.113.7"]).stdout);
    for line in [
        "  ok       HTTP port       TCP 127.0.0.1:0 takes any free port\n",
        "  ok       addresses       clients are told to send media to UDP 203.0.113.7:0\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!told.contains('\x1b'), "no colours for what is no terminal");
    let wrong = ask(&["--set", "media.anounce=203.0.113.7"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("did you mean `media.announce`?"));
}

#[test]
fn help_and_version() {
    let directory = Directory::new("help");
    let output = sluice(&directory, &[], &["--version"]);
    assert_eq!(text(&output.stdout), format!("sluice {}\n", env!("CARGO_PKG_VERSION")));
    let help = text(&sluice(&directory, &[], &["--help"]).stdout);
    for word in
        ["WHIP", "check-config", "--config <FILE>", "--set <SECTION.KEY=VALUE>", "SLUICE__SECTION__KEY"]
    {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
}
