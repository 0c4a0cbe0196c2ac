//! Asks a WHIP or WHEP server, by URL, for everything that RFC 9725 and draft-ietf-wish-whep lay down, and prints what it
//! does. Nothing here is of one server: any can be asked.

mod http;
mod media;
mod row;
mod sdp;
mod session;
mod subject;
mod whep;
mod whip;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use self::http::{Client, Url};
use self::media::Publisher;
use self::row::{Level, Row, Verdict};
use self::subject::{Side, Subject};

/// How well a WHIP or WHEP server does what RFC 9725 and draft-ietf-wish-whep lay down.
#[derive(Debug, Parser)]
#[command(
    name = "whip-conformance",
    after_help = "Exit status: 0 if no MUST is broken, 1 if one is, 2 if nothing could be asked."
)]
struct Arguments {
    /// The WHIP endpoint, like http://127.0.0.1:8080/whip/demo. Leave it out to judge WHEP alone: then somebody has to
    /// publish the stream meanwhile.
    whip: Option<Url>,
    /// The WHEP endpoint of the same stream.
    #[arg(long)]
    whep: Option<Url>,
    /// What is sent as a bearer token to the WHIP endpoint.
    #[arg(long)]
    token: Option<String>,
    /// What is sent as a bearer token to the WHEP endpoint.
    #[arg(long)]
    whep_token: Option<String>,
    /// A PEM file with the certificates of those who sign. Default: those of the system.
    #[arg(long)]
    ca: Option<std::path::PathBuf>,
    /// Do not make media flow: for servers whose media cannot be reached from here.
    #[arg(long)]
    no_media: bool,
}

#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    broken: u32,
    left_out: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.whip.is_none() && arguments.whep.is_none() {
        eprintln!("There is nothing to ask: give the URL of a WHIP endpoint, or --whep.");
        return ExitCode::from(2);
    }
    let client = match Client::new(arguments.ca.as_deref()) {
        Ok(client) => client,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    let publisher = arguments.whip.map(|url| Subject::new(client.clone(), Side::Whip, url, arguments.token));
    if let Some(whip) = &publisher {
        if let Err(error) = whip.ask("OPTIONS") {
            eprintln!("{} does not answer: {error}", whip.endpoint);
            return ExitCode::from(2);
        }
        let media: &[Row] = if arguments.no_media { &[] } else { whip::MEDIA };
        judge(whip, &[whip::ENDPOINT, session::ROWS, whip::END, media], &mut tally);
    }
    if let Some(url) = arguments.whep {
        let whep = Subject::new(client, Side::Whep, url, arguments.whep_token);
        if publisher.is_some() {
            judge(&whep, &[whep::UNPUBLISHED], &mut tally);
        }
        let live = publisher.as_ref().filter(|_| !arguments.no_media).map(Publisher::start);
        if let Some(Err(error)) = &live {
            eprintln!("The stream for the viewers cannot be published: {error}");
            return ExitCode::from(2);
        }
        if !arguments.no_media && !is_live_soon(&whep) {
            eprintln!("{} goes on to say that nobody publishes.", whep.endpoint);
            return ExitCode::from(2);
        }
        judge(&whep, &[whep::ENDPOINT, session::ROWS, whep::EXTENSIONS, whep::END], &mut tally);
    }
    let Tally { passed, failed, broken, left_out } = tally;
    println!(
        "\n{passed} passed, {failed} failed ({broken} of them MUST or SHALL), {left_out} not applicable"
    );
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until a viewer is not told any more that nobody publishes: the server has its own moment of being connected.
fn is_live_soon(whep: &Subject) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        match whep.post(subject::SDP, whep.offer()) {
            Ok(reply) if [404, 409].contains(&reply.status) => {}
            _ => return true,
        }
    }
    false
}

fn judge(subject: &Subject, groups: &[&[Row]], tally: &mut Tally) {
    println!("\n{} {}", subject.side, subject.endpoint);
    for row in groups.iter().copied().flatten() {
        let verdict = (row.judge)(subject).unwrap_or_else(|error| Verdict::Fail(error.to_string()));
        let (word, why) = match &verdict {
            Verdict::Pass => ("pass", None),
            Verdict::Fail(why) => ("FAIL", Some(why)),
            Verdict::NotApplicable(why) => ("n/a ", Some(why)),
        };
        println!(
            "{word}  {:<15} {:<10} {}: {}",
            row.section,
            row.level.to_string(),
            row.request,
            row.expects
        );
        if let Some(why) = why {
            println!("      {why}");
        }
        match verdict {
            Verdict::Pass => tally.passed += 1,
            Verdict::NotApplicable(_) => tally.left_out += 1,
            Verdict::Fail(_) => {
                tally.failed += 1;
                tally.broken += u32::from(matches!(row.level, Level::Must | Level::MustNot));
            }
        }
    }
}
