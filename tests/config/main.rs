//! The configuration as its users meet it: what overrides what, every error sentence, the reference file, and
//! in [`command`] the program itself.

mod command;

use std::fmt::Write;

use sluice::config::file::ConfigFile;
use sluice::config::keys::{KEYS, SECTIONS};
use sluice::config::{Config, Host, Loaded, LogFormat, load};

const REFERENCE: &str = include_str!("../../config/sluice.toml");
const SECRET: &str = "hunter2-hunter2";

/// Loads a file `sluice.toml` with `text`, the environment `variables` and the `--set` arguments `sets`.
fn sources(text: &str, variables: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, String> {
    let file = ConfigFile { name: "sluice.toml".to_owned(), text: text.to_owned() };
    load(Some(&file), variables.iter().copied(), sets).map_err(|error| error.to_string())
}

fn file(text: &str) -> Result<Config, String> {
    sources(text, &[], &[]).map(|loaded| loaded.config)
}

fn variable(name: &str, value: &str) -> Result<Config, String> {
    sources("", &[(name, value)], &[]).map(|loaded| loaded.config)
}

fn set(argument: &str) -> Result<Config, String> {
    sources("", &[], &[argument]).map(|loaded| loaded.config)
}

#[track_caller]
fn refused(result: Result<Config, String>, sentences: &[&str]) {
    assert_eq!(result.expect_err("it was accepted"), sentences.join("\n"));
}

// What overrides what.

#[test]
fn without_sources_the_defaults_hold() {
    let loaded = load(None, std::iter::empty::<(String, String)>(), [""; 0]).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn each_source_overrides_the_one_before() {
    let text = "[limits]\nsessions = 11\n[media]\nannounce = [\"192.0.2.1\"]\nloopback = true";
    let variables = [("SLUICE__LIMITS__SESSIONS", "22"), ("SLUICE__MEDIA__ANNOUNCE", "192.0.2.2")];
    let sessions = |loaded: Result<Loaded, String>| loaded.unwrap().config.limits.sessions;
    assert_eq!(sessions(sources("", &[], &[])), 2000);
    assert_eq!(sessions(sources(text, &[], &[])), 11);
    assert_eq!(sessions(sources(text, &variables, &[])), 22);
    let all = sources(text, &variables, &["limits.sessions=33"]).unwrap().config;
    assert_eq!(all.limits.sessions, 33);
    assert_eq!(all.media.announce, [Host::Ip("192.0.2.2".parse().unwrap())], "lists are replaced");
    assert!(all.media.loopback, "what a higher source does not name stays");
    assert_eq!(sessions(sources("", &[], &["limits.sessions=1", "limits.sessions=2"])), 2);
}

#[test]
fn stream_keys_of_all_sources_are_joined_and_overridden_one_by_one() {
    let text = "[auth.stream_keys]\na = \"from-file\"\nb = \"from-file\"\nc = \"from-file\"";
    let variables =
        [("SLUICE__AUTH__STREAM_KEYS__b", "from-environment"), ("SLUICE__AUTH__STREAM_KEYS__c", "shadowed")];
    let loaded = sources(text, &variables, &["auth.stream_keys.c=from-set="]).unwrap();
    for (stream, key) in [("a", "from-file"), ("b", "from-environment"), ("c", "from-set=")] {
        assert!(loaded.config.auth.key_for(stream).unwrap().matches(key), "{stream}");
    }
}

#[test]
fn stream_names_keep_their_case_and_may_hold_dots_and_underscores() {
    let variables =
        [("SLUICE__AUTH__STREAM_KEYS__My__Stage_1", SECRET), ("SLUICE__AUTH__STREAM_KEYS__*", SECRET)];
    let auth = sources("", &variables, &["auth.stream_keys.Main.Hall=12345678"]).unwrap().config.auth;
    assert_eq!(auth.stream_keys.keys().collect::<Vec<_>>(), ["*", "Main.Hall", "My__Stage_1"]);
}

#[test]
fn other_variables_are_passed_over() {
    let variables =
        [("PATH", "/bin"), ("SLUICE_CONFIG", "x"), ("SLUICE_PORT_8080_TCP", "tcp://10.0.0.1:8080")];
    assert_eq!(sources("", &variables, &[]).unwrap().config, Config::default());
}

// How values are written.

/// Each key with a value as a file writes it, and as a variable and `--set` do.
const CASES: &[(&str, &str, &str)] = &[
    ("http.listen", "\"[::1]:1\"", "[::1]:1"),
    ("http.public_url", "\"https://live.example.org/\"", " https://live.example.org "),
    ("http.wait_for_stream", "true", "true"),
    ("http.redirect", "\"[::1]:80\"", "[::1]:80"),
    ("metrics.listen", "\"0.0.0.0:9\"", "0.0.0.0:9"),
    ("admin.listen", "\"127.0.0.1:9\"", "127.0.0.1:9"),
    ("admin.key", "\"1234567890123456\"", "1234567890123456"),
    ("media.listen", "[\"127.0.0.1:0\", \"[::1]:0\"]", "127.0.0.1:0, [::1]:0"),
    ("media.announce", "[\"203.0.113.7\", \"live.example.org\"]", "203.0.113.7,Live.example.org."),
    ("media.discover", "\"stun.example.org:3478\"", " STUN.example.org:3478 "),
    ("media.loopback", "true", "true"),
    ("media.tcp", "false", "false"),
    ("media.receive_buffer", "1_048_576", "1_048_576"),
    ("media.send_buffer", "0x10_0000", "1048576"),
    ("turn.enabled", "false", "false"),
    ("turn.realm", "\"example.org\"", "example.org"),
    ("turn.secrets", "[\"1234567890123456\", \"6543210987654321\"]", "1234567890123456,6543210987654321"),
    ("turn.users.a", "\"12345678\"", "12345678"),
    ("turn.allocations", "8000", "8000"),
    ("turn.per_user", "1", "1"),
    ("turn.per_address", "8000", "8_000"),
    ("turn.bandwidth", "0", "0"),
    ("auth.open", "true", "true"),
    ("auth.stream_keys.a", "\"12345678\"", "12345678"),
    ("auth.room_keys.a", "\"12345678\"", "12345678"),
    ("worker.count", "2", "2"),
    ("limits.sessions", "100000", "100000"),
    ("limits.participants", "1000", "1_000"),
    ("limits.overflow", "\"https://second.example.org/\"", " https://second.example.org "),
    ("log.level", "\"info,str0m=warn\"", "info,str0m=warn"),
    ("log.format", "\"json\"", "json"),
    ("tls.cert", "\"/etc/cert.pem\"", "/etc/cert.pem"),
    ("tls.key", "\"/etc/key.pem\"", "/etc/key.pem"),
    ("tls.acme", "[\"live.example.org\", \"www.example.org\"]", "Live.example.org,www.example.org."),
    ("tls.acme_mail", "\"admin@example.org\"", " admin@example.org "),
    ("tls.acme_directory", "\"https://ca.example.org/acme\"", " https://ca.example.org/acme "),
    ("tls.acme_folder", "\"/var/lib/sluice\"", "/var/lib/sluice"),
];

#[test]
fn every_key_is_read_the_same_from_every_source() {
    assert_eq!(CASES.len(), KEYS.len(), "a key has no case here");
    for (key, toml, text) in CASES {
        // Some keys need another one beside them.
        let partner = match *key {
            "admin.listen" => "admin.key=1234567890123456",
            "http.redirect" => "tls.acme=live.example.org",
            "tls.cert" => "tls.key=/k",
            "tls.key" => "tls.cert=/c",
            "worker.count" => "limits.sessions=2000",
            _ => "worker.count=0",
        };
        let mut parts = key.splitn(3, '.');
        let mut variable = "SLUICE".to_owned();
        for part in parts.by_ref().take(2) {
            let _ = write!(variable, "__{}", part.to_uppercase());
        }
        for entry in parts {
            let _ = write!(variable, "__{entry}");
        }
        let from_file = sources(&format!("{key} = {toml}"), &[], &[partner]).expect(key).config;
        let from_variable = sources("", &[(&variable, text)], &[partner]).expect(key).config;
        let from_set = sources("", &[], &[&format!("{key}={text}"), partner]).expect(key).config;
        assert_eq!(from_variable, from_file, "{variable}");
        assert_eq!(from_set, from_file, "--set {key}");
        assert!(from_file != Config::default(), "{key} changed nothing");
    }
}

#[test]
fn a_single_value_is_a_list_and_an_empty_one_is_nothing() {
    let one = file("media.listen = \"127.0.0.1:0\"").unwrap();
    assert_eq!(one.media.listen.len(), 1);
    let text = "media.announce = [\"192.0.2.1\"]\nhttp.public_url = \"http://a\"";
    let variables = [("SLUICE__MEDIA__ANNOUNCE", ""), ("SLUICE__HTTP__PUBLIC_URL", "")];
    assert_eq!(sources(text, &variables, &[]).unwrap().config, Config::default());
    assert_eq!(set("log.format=json").unwrap().log.format, LogFormat::Json);
}

// What is refused, and how it is said.

#[test]
fn unknown_keys_are_named_with_their_place_and_the_nearest_key() {
    refused(
        file("# comment\n[media]\nloopback = true\nanounce = []\n"),
        &["sluice.toml:4: unknown key `media.anounce`; did you mean `media.announce`?"],
    );
    refused(
        variable("SLUICE__MEDIA__ANOUNCE", ""),
        &["environment SLUICE__MEDIA__ANOUNCE: unknown key `media.anounce`; did you mean `media.announce` \
           (SLUICE__MEDIA__ANNOUNCE)?"],
    );
    refused(
        set("media.anounce=192.0.2.1"),
        &["--set media.anounce: unknown key `media.anounce`; did you mean `media.announce`?"],
    );
    refused(
        variable("SLUICE_HTTP_LISTEN", "0.0.0.0:1"),
        &[
            "environment SLUICE_HTTP_LISTEN: this variable is not read; write `SLUICE__HTTP__LISTEN`, with two \
           underscores",
        ],
    );
    refused(
        variable("SLUICE__HTTP__LISTEN__X", ""),
        &["environment SLUICE__HTTP__LISTEN__X: unknown key `http.listen.X`; did you mean `http.listen` \
           (SLUICE__HTTP__LISTEN)?"],
    );
    refused(
        file("listen = \"127.0.0.1:1\"\n[log]\ncolours = true"),
        &[
            "sluice.toml:1: unknown key `listen`; did you mean `http.listen`?",
            "sluice.toml:3: unknown key `log.colours`; the keys of `[log]` are `level` and `format`",
        ],
    );
}

#[test]
fn unknown_sections_are_named() {
    let sections = "the sections are `http`, `metrics`, `admin`, `media`, `turn`, `auth`, `worker`, `limits`, `log` and `tls`";
    refused(
        file("[medai]\nannounce = []\n[bananas]\n"),
        &[
            "sluice.toml:1: unknown section `[medai]`; did you mean `[media]`?",
            &format!("sluice.toml:3: unknown section `[bananas]`; {sections}"),
        ],
    );
    refused(
        file("http = \"127.0.0.1:80\""),
        &["sluice.toml:1: `http` is a section: write `[http]`, and its keys below"],
    );
    refused(
        variable("SLUICE__BANANAS", "1"),
        &[&format!("environment SLUICE__BANANAS: unknown key `bananas`; {sections}")],
    );
}

#[test]
fn wrong_types_in_a_file_tell_what_was_found_and_what_is_taken() {
    refused(
        file("[limits]\nsessions = \"many\"\n[auth]\nopen = 1\n[media]\nlisten = 3478\nloopback = [true]"),
        &[
            "sluice.toml:2: `limits.sessions` takes a whole number of sessions from 1 to 100000; found \"many\"",
            "sluice.toml:4: `auth.open` takes true or false; found 1",
            "sluice.toml:6: `media.listen` takes a list of at least 1, each item an IP address with a port, like \
             \"127.0.0.1:8080\" or \"[::1]:8080\"; found 3478",
            "sluice.toml:7: `media.loopback` takes true or false; found a list",
        ],
    );
    for (value, found) in
        [("0", "0"), ("100001", "100001"), ("-1", "-1"), ("1.5", "1.5"), ("true", "true"), ("{}", "a table")]
    {
        let sentence =
            "sluice.toml:1: `limits.sessions` takes a whole number of sessions from 1 to 100000; found";
        refused(file(&format!("limits.sessions = {value}")), &[&format!("{sentence} {found}")]);
    }
    for (key, value) in [("limits.sessions", "\"5\""), ("auth.open", "\"true\""), ("tls.cert", "true")] {
        let error = file(&format!("{key} = {value}")).expect_err(key);
        assert!(error.ends_with(&format!("; found {value}")), "a value of another type passes: {error}");
    }
    refused(
        file("media.listen = []"),
        &[
            "sluice.toml:1: `media.listen` takes a list of at least 1, each item an IP address with a port, like \
           \"127.0.0.1:8080\" or \"[::1]:8080\"; found an empty list",
        ],
    );
}

#[test]
fn wrong_values_tell_what_was_found_and_what_is_taken() {
    refused(
        variable("SLUICE__MEDIA__ANNOUNCE", "192.0.2.1,192.0.2.1:3478"),
        &[
            "environment SLUICE__MEDIA__ANNOUNCE: `media.announce` takes a list, each item an IP address without a \
           port, like \"203.0.113.7\" or \"2001:db8::7\", or a DNS name, like \"live.example.org\"; found \
           \"192.0.2.1:3478\"",
        ],
    );
    refused(
        set("http.listen=8080"),
        &["--set http.listen: `http.listen` takes an IP address with a port, like \"127.0.0.1:8080\" or \
           \"[::1]:8080\"; found \"8080\""],
    );
    refused(
        set("http.public_url=https://live.example.org/?a=b"),
        &["--set http.public_url: `http.public_url` takes an absolute http or https URL without user name, \
           query and fragment, like \"https://live.example.org\", or nothing (\"\"); found \
           \"https://live.example.org/?a=b\""],
    );
    refused(
        set("media.receive_buffer=8MB"),
        &["--set media.receive_buffer: `media.receive_buffer` takes a whole number of bytes from 65536 to \
           536870912; found \"8MB\""],
    );
    refused(
        set("log.format=xml"),
        &["--set log.format: `log.format` takes \"text\" or \"json\"; found \"xml\""],
    );
    refused(
        set("log.level=verbose"),
        &[
            "--set log.level: `log.level` takes off, error, warn, info, debug or trace, then target=level for \
           exceptions, like \"info,str0m=warn\"; found \"verbose\"",
        ],
    );
    refused(
        set("limits.sessions"),
        &["--set limits.sessions: there is no `=`; write `--set section.key=value`"],
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    for (text, line) in [
        ("[http]\nlisten = \"127.0.0.1:1\"\npublic_url = nonsense here\n", 3),
        ("[http]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", 3),
        ("[auth\nopen = true", 1),
    ] {
        let error = file(text).unwrap_err();
        assert!(error.starts_with(&format!("sluice.toml:{line}: this is not TOML: ")), "{text}\n{error}");
        assert_eq!(error.lines().count(), 1, "{text}\n{error}");
    }
}

#[test]
fn all_errors_of_all_sources_are_told_together_lowest_source_first() {
    let loaded = sources(
        "[tls]\nkey = \"k.pem\"\n[http]\nlistn = 1\nlisten = 2",
        &[("SLUICE__LOG__FORMAT", "xml")],
        &["auth.opne=true", "worker.count=400"],
    );
    let error = loaded.unwrap_err();
    let places: Vec<_> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "sluice.toml:4",
        "sluice.toml:5",
        "environment SLUICE__LOG__FORMAT",
        "--set auth.opne",
        "--set worker.count",
        "sluice.toml:2",
    ];
    assert_eq!(places, expected, "{error}");
}

#[test]
fn one_error_does_not_cause_another() {
    let mistakes =
        ["auth.stream_kyes.live = \"12345678\"", "auth.stream_keys.live = \"short\"", "[outh]\nopen = true"];
    for mistake in mistakes {
        let error = file(&format!("http.listen = \"0.0.0.0:80\"\n{mistake}")).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

// What must fit together.

#[test]
fn listening_beyond_loopback_needs_a_word_on_who_may_come() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[2001:db8::1]:80"] {
        let listen = format!("http.listen={address}");
        let sentence = format!(
            "--set http.listen: `http.listen` is {address}, which is open to other machines, and nothing says \
             who may publish or join: set a key in `auth.stream_keys` or `auth.room_keys`, or set `auth.open` to \
             true to let everybody, or listen on 127.0.0.1"
        );
        refused(set(&listen), &[&sentence]);
        for answer in [
            "auth.open=true",
            "auth.stream_keys.live=12345678",
            "auth.stream_keys.*=12345678",
            "auth.room_keys.team=12345678",
            "auth.room_keys.*=12345678",
        ] {
            sources("", &[], &[&listen, answer]).expect(answer);
        }
    }
    for address in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        set(&format!("http.listen={address}")).expect(address);
    }
    set("metrics.listen=0.0.0.0:9090").expect("Prometheus lives elsewhere");
}

#[test]
fn metrics_and_pages_do_not_take_the_same_port() {
    refused(
        set("metrics.listen=127.0.0.1:8080"),
        &[
            "--set metrics.listen: `metrics.listen` is the same address as `http.listen`: leave it empty, and \
           `/metrics` is served there, or give it another port",
        ],
    );
    sources("", &[], &["http.listen=127.0.0.1:0", "metrics.listen=127.0.0.1:0"]).expect("two free ports");
}

#[test]
fn the_admin_api_has_a_key_and_an_address_of_its_own() {
    let key = "admin.key=1234567890123456";
    refused(
        set("admin.listen=127.0.0.1:9000"),
        &[
            "--set admin.listen: `admin.listen` is set without `admin.key`: set a key of at least 16 characters, \
           which the admin API then demands",
        ],
    );
    for other in ["http.listen", "metrics.listen"] {
        let place = format!("{other}=127.0.0.1:9000");
        let sentence = format!(
            "--set admin.listen: `admin.listen` is the same address as `{other}`: the admin API needs another port"
        );
        let loaded = sources("", &[], &["admin.listen=127.0.0.1:9000", key, &place]);
        refused(loaded.map(|loaded| loaded.config), &[&sentence]);
    }
    sources("", &[], &["http.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", key]).expect("two free ports");
    set(key).expect("a key alone does no harm");
}

#[test]
fn announced_addresses_can_be_reached() {
    let cases = [
        ("0.0.0.0", "stands for all addresses; name those that clients can reach"),
        ("::", "stands for all addresses; name those that clients can reach"),
        ("224.0.0.1", "is a group of machines; name an address of this one"),
        ("ff02::1", "is a group of machines; name an address of this one"),
        ("255.255.255.255", "is a group of machines; name an address of this one"),
        ("127.0.0.1", "is reached from this machine only; if that is wanted, set `media.loopback` to true"),
        ("::1", "is reached from this machine only; if that is wanted, set `media.loopback` to true"),
    ];
    for (address, why) in cases {
        let sentence = format!("--set media.announce: `media.announce` holds {address}, which {why}");
        refused(set(&format!("media.announce=192.0.2.1,{address}")), &[&sentence]);
    }
    sources("", &[], &["media.announce=127.0.0.1,::1", "media.loopback=true"]).expect("loopback is wanted");
}

#[test]
fn certificate_and_key_go_together() {
    refused(
        set("tls.cert=c.pem"),
        &[
            "--set tls.cert: `tls.cert` is set without `tls.key`: a certificate needs its private key; set both \
           or none",
        ],
    );
    refused(
        set("tls.key=k.pem"),
        &[
            "--set tls.key: `tls.key` is set without `tls.cert`: a private key needs its certificate; set both \
           or none",
        ],
    );
}

#[test]
fn a_certificate_comes_from_files_or_from_an_authority() {
    let both = "--set tls.acme: `tls.acme` is set beside `tls.cert` or `tls.key`: a certificate comes from files or \
                   from a certificate authority; remove one of them";
    let loaded = sources("", &[], &["tls.acme=live.example.org", "tls.cert=c.pem", "tls.key=k.pem"]);
    refused(loaded.map(|loaded| loaded.config), &[both]);
    refused(
        set("tls.acme_directory=http://ca.example.org/acme"),
        &[
            "--set tls.acme_directory: `tls.acme_directory` is no https address: certificate authorities are asked by \
           HTTPS only",
        ],
    );
    refused(
        set("http.redirect=[::]:80"),
        &[
            "--set http.redirect: `http.redirect` is set, and there is no HTTPS to send people to: set `tls.acme`, or \
           `tls.cert` and `tls.key`",
        ],
    );
    refused(
        sources("", &[], &["limits.overflow=https://a.example.org", "http.public_url=https://a.example.org"])
            .map(|loaded| loaded.config),
        &[
            "--set limits.overflow: `limits.overflow` is this server's own `http.public_url`: name another server, or \
           nothing",
        ],
    );
    refused(
        set("tls.acme=203.0.113.7"),
        &[
            "--set tls.acme: `tls.acme` takes a list, each item a DNS name with a dot, like \"live.example.org\"; found \
           \"203.0.113.7\"",
        ],
    );
}

// Secrets.

#[test]
fn stream_keys_are_told_what_they_must_be() {
    refused(
        file("auth.stream_keys = { live = \"short\", other = 12345678, \"a b\" = \"12345678\" }"),
        &[
            "sluice.toml:1: `auth.stream_keys.a b` takes stream names of 1 to 128 letters, digits and - _ . ~, \
             or \"*\"",
            "sluice.toml:1: `auth.stream_keys.live` takes a key of at least 8 visible ASCII characters, \
             without spaces",
            "sluice.toml:1: `auth.stream_keys.other` takes a text in quotes; names with dots are quoted too",
        ],
    );
    refused(
        variable("SLUICE__AUTH__STREAM_KEYS", SECRET),
        &["environment SLUICE__AUTH__STREAM_KEYS: `auth.stream_keys` takes a table with an entry for each \
           stream: its name, or \"*\" for any stream, and its key of at least 8 visible ASCII characters; set \
           `auth.stream_keys.<name>` or `SLUICE__AUTH__STREAM_KEYS__<name>`"],
    );
}

#[test]
fn room_keys_and_the_admin_key_are_told_what_they_must_be() {
    refused(
        file(
            "auth.room_keys = { team = \"short\", \"a b\" = \"12345678\" }\nadmin.key = \"123456789012345\"",
        ),
        &[
            "sluice.toml:1: `auth.room_keys.a b` takes room names of 1 to 128 letters, digits and - _ . ~, or \"*\"",
            "sluice.toml:1: `auth.room_keys.team` takes a key of at least 8 visible ASCII characters, without \
             spaces",
            "sluice.toml:2: `admin.key` takes a text of at least 16 visible ASCII characters, without spaces, or \
             nothing (\"\")",
        ],
    );
    refused(
        set("auth.room_key.team=12345678"),
        &["--set auth.room_key.team: unknown key `auth.room_key.team`; did you mean `auth.room_keys`?"],
    );
}

#[test]
fn turn_secrets_and_passwords_are_told_what_they_must_be() {
    refused(
        file(
            "turn.secrets = [\"1234567890123456\", \"short\"]\nturn.users = { \"*\" = \"12345678\", ann = \"short\" }",
        ),
        &[
            "sluice.toml:1: `turn.secrets` takes a list of at most 4, each item a text of at least 16 visible ASCII \
             characters, without spaces or commas",
            "sluice.toml:2: `turn.users.*` takes user names of 1 to 128 letters, digits and - _ . ~",
            "sluice.toml:2: `turn.users.ann` takes a password of at least 8 visible ASCII characters, without spaces",
        ],
    );
    for refused in ["", "with a space", "quoted\\\"", &"a".repeat(65)] {
        assert!(file(&format!("turn.realm = \"{refused}\"")).is_err(), "{refused}");
    }
    let five = ["\"1234567890123456\""; 5].join(", ");
    assert!(file(&format!("turn.secrets = [{five}]")).is_err());
    assert!(file("turn.secrets = [\"12345678,90123456\"]").is_err(), "the environment could not say it");
}

#[test]
fn no_error_shows_a_key() {
    let texts = [
        "auth.stream_keys = \"K\"",
        "auth.stream_keys = [\"K\"]",
        "auth.stream_keys.live = [\"K\"]",
        "auth.stream_keys.live = \"K K\"",
        "auth.stream_kyes.live = \"K\"",
        "auth.stream_keys.live = K",
        "auth.stream_keys.live = \"K",
        "[auth.stream_keys]\nlive = \"K\"\nlive = \"K\"",
        "auth.room_keys = \"K\"",
        "auth.room_keys.team = \"K K\"",
        "turn.secrets = \"K K\"",
        "turn.secrets = [\"K K\"]",
        "turn.secrets = { a = \"K\" }",
        "turn.users = \"K\"",
        "turn.users.ann = \"K K\"",
        "admin.key = [\"K\"]",
        "admin.key = \"K K\"",
        "admin.kye = \"K\"",
    ];
    for text in texts {
        let error = file(&text.replace('K', SECRET)).expect_err(text);
        assert!(!error.contains("hunter2"), "{text}\n{error}");
    }
    let arguments = [
        "auth.stream_kyes.live=K",
        "auth.stream_keys=K",
        "auth.stream_keys.live:K",
        "auth.stream_keys.live=K K",
        "auth.room_keys.team=K K",
        "turn.secrets=K K",
        "turn.users.ann=K K",
        "admin.key=K K",
        "admin.key:K",
    ];
    for argument in arguments {
        let error = set(&argument.replace('K', SECRET)).expect_err(argument);
        assert!(!error.contains("hunter2"), "{argument}\n{error}");
    }
}

#[test]
fn neither_debug_nor_the_listing_shows_a_key() {
    let secret = format!("{SECRET}-{SECRET}");
    for (path, shown) in [
        ("auth.stream_keys.live", "stream_keys = { live = \"***\" }"),
        ("auth.room_keys.team", "room_keys = { team = \"***\" }"),
        ("turn.secrets", "secrets = [\"***\"]"),
        ("turn.users.ann", "users = { ann = \"***\" }"),
        ("admin.key", "key = \"***\""),
    ] {
        let from_file = file(&format!("{path} = \"{secret}\"")).unwrap();
        let loaded = sources("", &[], &[&format!("{path}={secret}")]).unwrap();
        assert_eq!(loaded.config, from_file);
        let listing = loaded.listing();
        assert!(listing.contains(shown), "{listing}");
        for text in [format!("{loaded:?}"), format!("{from_file:#?}"), listing] {
            assert!(text.contains("***") && !text.contains("hunter2"), "{text}");
        }
    }
}

// The reference file.

#[test]
fn the_reference_file_sets_exactly_the_defaults() {
    let loaded = sources(REFERENCE, &[], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn the_reference_file_says_what_the_list_of_keys_says() {
    let mut expected = String::new();
    for section in SECTIONS {
        let _ = write!(expected, "\n\n# {}\n[{}]\n", section.doc, section.name);
        for key in KEYS.iter().filter(|key| key.parts().0 == section.name) {
            expected.push('\n');
            for line in key.doc.lines() {
                let _ = writeln!(expected, "# {line}");
            }
            for line in wrapped(&format!("Takes {}.", key.takes())) {
                let _ = writeln!(expected, "# {line}");
            }
            let _ = writeln!(expected, "{} = {}", key.parts().1, key.show(&Config::default()));
        }
    }
    let head = REFERENCE.strip_suffix(&expected);
    assert!(head.is_some(), "after its head comment, config/sluice.toml must read:\n{expected}");
    assert!(head.unwrap().lines().all(|line| line.starts_with('#')), "the head is a comment");
}

/// `text` in lines of at most 100 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= 100 {
            let _ = write!(line, " {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_utf_8_are_told_if_they_are_ours() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let load = |name| load(None, [(OsStr::new(name), OsStr::from_bytes(b"\xff"))], [""; 0]);
    assert!(load("OTHER").is_ok());
    let error = load("SLUICE__LOG__FORMAT").unwrap_err().to_string();
    assert_eq!(error, "environment SLUICE__LOG__FORMAT: the value is not UTF-8");
}
