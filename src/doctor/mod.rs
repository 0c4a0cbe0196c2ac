//! `sluice doctor`: looks for what keeps people from reaching this server, and says what to do about it.
//!
//! Each check has its file: first it finds out, then a function without I/O judges. It works beside a running server as
//! well as before the first start, and in the server itself (`GET /admin/doctor`). Nobody is asked whom the
//! configuration does not name, so without `media.discover` nothing leaves this machine but questions to its resolver.

mod acme;
mod addresses;
mod buffers;
mod certificate;
mod clock;
mod files;
mod ports;
mod relay;
pub mod report;

use std::time::{Instant, SystemTime};

use self::report::Report;
use crate::config::Config;
use crate::turn::credentials::Credential;
use crate::wire::stun::TransactionId;

/// Looks at everything. Blocks for some seconds. `credential`: one for the relay, from who has it; else it is made of the
/// configuration. `transaction` draws numbers that nobody can guess.
pub fn examine(
    config: &Config,
    credential: Option<Credential>,
    mut transaction: impl FnMut() -> TransactionId,
) -> Report {
    let began = (Instant::now(), SystemTime::now());
    let (mut findings, runs) = ports::check(config, &mut transaction);
    let (found, announced) = addresses::check(config, &mut transaction);
    findings.extend(found);
    if runs {
        let credential = credential.or_else(|| relay::credential(&config.turn, began.1));
        findings.extend(relay::check(
            config,
            credential.as_ref(),
            announced.first().copied(),
            &mut transaction,
        ));
    }
    findings.extend(buffers::check(&config.media));
    findings.extend(certificate::check(config, began.1));
    findings.extend(acme::check(config, &announced, began.1));
    findings.extend(files::check(&config.limits));
    findings.push(clock::check(began));
    Report::new(findings)
}
