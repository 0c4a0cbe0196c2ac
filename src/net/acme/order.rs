//! One attempt: a certificate authority is asked for a certificate, and shown that the names lead here.

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::schedule::{Fault, Way};
use crate::config::TlsConfig;
use crate::net::tls::Challenges;

const ACCOUNT: &str = "account.json";

/// A certificate authority looks from several places, and may try again for a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// The account of the authority with this directory.
#[derive(Serialize, Deserialize)]
struct Saved {
    directory: String,
    mail: Option<String>,
    credentials: AccountCredentials,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// A clause without a full stop, to be read after "because" or a colon.
    pub(super) reason: String,
}

impl Failure {
    fn other(reason: impl Into<String>) -> Self {
        Self { fault: Fault::Other, reason: reason.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error::Api(problem) = error else { return Self::other(chain(&error)) };
        let limited = has_type(&problem, "rateLimited");
        Self { fault: if limited { Fault::RateLimited } else { Fault::Other }, reason: words(&problem) }
    }
}

/// What was got: the key, then the certificate with its chain, all PEM.
pub(super) async fn obtain(
    config: &TlsConfig,
    folder: &Folder,
    challenges: &Challenges,
    way: Way,
) -> Result<String, Failure> {
    let mut order = begin(config, folder).await?;
    prove(&mut order, challenges, way).await?;
    finish(&mut order, config).await
}

/// An order of the account of before. Where the authority has forgotten that, a new one is made.
async fn begin(config: &TlsConfig, folder: &Folder) -> Result<Order, Failure> {
    let names: Vec<_> = config.acme.iter().map(|name| Identifier::Dns(name.as_str().to_owned())).collect();
    let order = NewOrder::new(&names);
    if let Some(account) = known(config, folder).await? {
        match account.new_order(&order).await {
            Err(Error::Api(problem)) if has_type(&problem, "accountDoesNotExist") => folder.forget(ACCOUNT),
            outcome => return Ok(outcome?),
        }
    }
    Ok(registered(config, folder).await?.new_order(&order).await?)
}

async fn known(config: &TlsConfig, folder: &Folder) -> Result<Option<Account>, Failure> {
    let Some(saved) = folder.read::<Saved>(ACCOUNT) else { return Ok(None) };
    let mail = config.acme_mail.as_ref().map(|mail| mail.as_str().to_owned());
    if saved.directory != config.acme_directory.as_str() || saved.mail != mail {
        return Ok(None);
    }
    Ok(Some(Account::builder()?.from_credentials(saved.credentials).await?))
}

async fn registered(config: &TlsConfig, folder: &Folder) -> Result<Account, Failure> {
    let mail = config.acme_mail.as_ref().map(|mail| mail.as_str().to_owned());
    let contact = mail.as_ref().map(|mail| format!("mailto:{mail}"));
    let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
    let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
    let directory = config.acme_directory.as_str().to_owned();
    let (account, credentials) = Account::builder()?.create(&new, directory.clone(), None).await?;
    let saved = Saved { directory, mail, credentials };
    let kept = folder.write(ACCOUNT, &saved);
    kept.map_err(|error| {
        Failure::other(format!("the account cannot be written to tls.acme_folder: {error}"))
    })?;
    Ok(account)
}

/// Shows that all names lead here.
async fn prove(order: &mut Order, challenges: &Challenges, way: Way) -> Result<(), Failure> {
    if order.state().status == OrderStatus::Ready {
        return Ok(());
    }
    answer(order, challenges, way).await?;
    match order.poll_ready(&RetryPolicy::new().timeout(PATIENCE)).await {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) => Err(refusal(order, way).await.unwrap_or_else(|| Failure::other("the order became invalid"))),
        Err(error) => Err(refusal(order, way).await.unwrap_or_else(|| error.into())),
    }
}

async fn answer(order: &mut Order, challenges: &Challenges, way: Way) -> Result<(), Failure> {
    let wanted = kind(way);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Failure::other("an authorization is not open any more")),
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(wanted.clone()) else {
            let reason = format!("the certificate authority does not offer {} for {name}", way.name());
            return Err(Failure { fault: Fault::Unproven, reason });
        };
        let key = challenge.key_authorization();
        match way {
            Way::TlsAlpn01 => {
                challenges.expect_tls(&name, key.digest().as_ref()).map_err(Failure::other)?;
            }
            Way::Http01 => challenges.expect_http(&challenge.token, key.as_str()),
        }
        challenge.set_ready().await?;
    }
    Ok(())
}

fn kind(way: Way) -> ChallengeType {
    match way {
        Way::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Way::Http01 => ChallengeType::Http01,
    }
}

/// What the authority found when it looked, name by name; `None` when it says nothing of that.
async fn refusal(order: &mut Order, way: Way) -> Option<Failure> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        let errors: Vec<String> = errors.map(words).collect();
        if !errors.is_empty() {
            reasons.push(format!(
                "{} is not proven by {}: {}",
                state.identifier(),
                way.name(),
                errors.join(", ")
            ));
        }
    }
    (!reasons.is_empty()).then(|| Failure { fault: Fault::Unproven, reason: reasons.join("; ") })
}

async fn finish(order: &mut Order, config: &TlsConfig) -> Result<String, Failure> {
    let (key, request) = request(config).map_err(|error| Failure::other(chain(&error)))?;
    order.finalize_csr(&request).await?;
    let chain = order.poll_certificate(&RetryPolicy::new().timeout(PATIENCE)).await?;
    Ok(format!("{key}{chain}"))
}

/// A new key, and the request for a certificate of it (RFC 2986).
fn request(config: &TlsConfig) -> Result<(String, Vec<u8>), rcgen::Error> {
    let names: Vec<String> = config.acme.iter().map(|name| name.as_str().to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), params.serialize_request(&key)?.der().to_vec()))
}

fn has_type(problem: &Problem, name: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .is_some_and(|kind| kind.strip_prefix("urn:ietf:params:acme:error:") == Some(name))
}

/// The sentence of a problem document, without its full stop, so that it can stand in another.
fn words(problem: &Problem) -> String {
    let whole = problem.detail.as_deref().or(problem.r#type.as_deref()).unwrap_or("it gives no reason");
    let parts: Vec<&str> = problem.subproblems.iter().filter_map(|part| part.detail.as_deref()).collect();
    let text = std::iter::once(whole).chain(parts).collect::<Vec<_>>().join(", ");
    text.trim_end_matches('.').replace(['\n', '\r'], " ")
}

/// An error with what caused it: the outermost alone often says only that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_words_of_the_authority_are_told() {
        let limited = problem(
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates.","status":429}"#,
        );
        let failure = Failure::from(Error::Api(limited));
        assert_eq!(
            failure,
            Failure { fault: Fault::RateLimited, reason: "too many certificates".to_owned() }
        );
        let silent = Failure::from(Error::Api(problem("{}")));
        assert_eq!(silent, Failure::other("it gives no reason"));
    }

    #[test]
    fn a_request_is_for_all_names() {
        let acme = ["live.example.org", "www.example.org"]
            .map(|name| crate::config::DomainName::parse(name).unwrap());
        let config = TlsConfig { acme: acme.to_vec(), ..TlsConfig::default() };
        let (key, request) = request(&config).unwrap();
        assert!(key.contains("PRIVATE KEY"));
        for name in ["live.example.org", "www.example.org"] {
            assert!(request.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
        }
    }
}
