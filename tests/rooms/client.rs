//! A client of the room protocol: joins, asks, and waits for what it wants to hear.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::offer;
use crate::running::Running;
use crate::socket::{Frame, Socket, TEXT};

pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) welcome: Value,
    /// Everything that was heard, for whoever wonders why something was not.
    heard: Vec<Value>,
    last_id: u32,
}

/// A join with the offer of a browser.
pub(crate) fn join(room: &str) -> Value {
    json!({"t": "join", "id": 1, "v": 1, "room": room, "sdp": offer("join/chromium")})
}

/// The join that resumes somebody without a new offer.
pub(crate) fn resume(client: &Client) -> Value {
    let token = &client.welcome["resume_token"];
    json!({"t": "join", "id": 1, "v": 1, "room": client.welcome["room"], "resume": token})
}

/// A value with other members in it, or without those that are null.
pub(crate) fn with(mut value: Value, members: &Value) -> Value {
    let object = value.as_object_mut().expect("an object");
    for (name, member) in members.as_object().expect("an object") {
        object.insert(name.clone(), member.clone());
        object.retain(|_, member| !member.is_null());
    }
    value
}

impl Client {
    /// A client that has not said anything yet.
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        Self::on(Socket::connect(server, "").await)
    }

    pub(crate) fn on(socket: Socket) -> Self {
        Self { socket, welcome: Value::Null, heard: Vec::new(), last_id: 1 }
    }

    /// Joins a room as the browser of a captured offer, whose media never comes.
    pub(crate) async fn join(server: &Running, room: &str, name: &str) -> Self {
        Self::join_with(server, &with(join(room), &json!({"name": name}))).await
    }

    pub(crate) async fn join_with(server: &Running, join: &Value) -> Self {
        let mut client = Self::connect(server.address).await;
        client.enter(join).await;
        client
    }

    /// Says the join, and waits for the welcome.
    pub(crate) async fn enter(&mut self, join: &Value) {
        self.say(join).await;
        let welcome = self.next().await;
        assert_eq!((&welcome["t"], &welcome["re"]), (&json!("welcome"), &join["id"]), "{welcome}");
        self.welcome = welcome;
    }

    pub(crate) fn id(&self) -> &str {
        self.welcome["you"].as_str().expect("it was welcomed")
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.socket.write(TEXT, text.as_bytes()).await.expect("the connection is open");
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        match self.socket.read().await {
            Frame::Text(text) => self.take(&text),
            other => panic!("{other:?} instead of a message, after {:#?}", self.heard),
        }
    }

    fn take(&mut self, text: &str) -> Value {
        let message: Value = serde_json::from_str(text).expect("JSON");
        self.heard.push(message.clone());
        message
    }

    /// Waits for a message, past all others.
    pub(crate) async fn until(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.socket.read().await {
                Frame::Text(text) => {
                    let message = self.take(&text);
                    if good(&message) {
                        return message;
                    }
                }
                other => panic!("{other:?} and still not: {what}; heard {:#?}", self.heard),
            }
        }
    }

    /// Waits for a message of a type.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        self.until(kind, |message| message["t"] == kind).await
    }

    /// Asks, and waits for what answers.
    pub(crate) async fn ask(&mut self, request: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.say(&with(request.clone(), &json!({"id": id}))).await;
        self.until("the reply", |message| message["re"] == id).await
    }

    pub(crate) async fn ask_ok(&mut self, request: &Value) {
        let reply = self.ask(request).await;
        assert_eq!(reply["t"], "ok", "{request}");
    }

    /// Waits until others see somebody in a state.
    pub(crate) async fn sees(&mut self, id: &str, state: &str) {
        let is = |peer: &Value| peer["id"] == id && peer["state"] == state;
        let told = |message: &Value| message["set"].as_array().is_some_and(|set| set.iter().any(is));
        self.until(&format!("{id} is {state}"), told).await;
    }

    /// Waits until it has seen all of them in a state, in whatever order.
    pub(crate) async fn sees_all(&mut self, mut ids: Vec<String>, state: &str) {
        while !ids.is_empty() {
            let message = self.hear("peers").await;
            for peer in message["set"].as_array().into_iter().flatten() {
                ids.retain(|id| peer["id"] != id.as_str() || peer["state"] != state);
            }
        }
    }

    /// Waits until somebody is gone.
    pub(crate) async fn misses(&mut self, id: &str) {
        let told = |message: &Value| message["gone"].as_array().is_some_and(|gone| gone.contains(&json!(id)));
        self.until(&format!("{id} is gone"), told).await;
    }

    /// The end of the connection, and the messages before it.
    pub(crate) async fn end(&mut self) -> (Vec<Value>, Frame) {
        let mut last = Vec::new();
        loop {
            match self.socket.read().await {
                Frame::Text(text) => last.push(self.take(&text)),
                end => return (last, end),
            }
        }
    }
}
