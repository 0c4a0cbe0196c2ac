//! The server under test, on loopback ports that were free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use sluice::config::Config;
use sluice::server::Server;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::message::{Reply, Request};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) greeting: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl Running {
    /// A server as it is without configuration.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.media.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        config.media.loopback = true;
        change(&mut config);
        let server = Server::start(&config).await.expect("it starts");
        let (stop, stopped) = oneshot::channel();
        Self {
            address: server.http_address().expect("it listens"),
            greeting: server.greeting().expect("it knows its addresses"),
            stop,
            served: tokio::spawn(server.serve(async move { drop(stopped.await) })),
        }
    }

    pub(crate) async fn ask(&self, request: &Request) -> Reply {
        request.send(self.address).await
    }

    /// Asks again and again until the reply is as wanted. Each question is a round trip, in which the server goes on.
    pub(crate) async fn ask_until(
        &self,
        what: &str,
        request: &Request,
        good: impl Fn(&Reply) -> bool,
    ) -> Reply {
        let asking = async {
            loop {
                let reply = self.ask(request).await;
                if good(&reply) {
                    return reply;
                }
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("still not: {what}"))
    }

    /// Asks the server to stop. The handle ends when it has.
    pub(crate) fn stop(self) -> JoinHandle<io::Result<()>> {
        self.stop.send(()).expect("it runs");
        self.served
    }
}
