//! A router that answers as a test wants it to, wrongly included: WebSocket and WELCOME are right,
//! the rest is the test's. Owns no assertion about the product.

use std::{
    io::Write,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::{Value, json};
use tungstenite::{
    Message, accept_hdr,
    handshake::server::{Request, Response},
};

use super::websocket::{code, unmasked_frame};

/// What the router sends when a message comes: texts, each with the connection that it goes to.
/// Connections are counted from 0 in the order of connecting. A text that is empty ends the
/// connection.
pub type Answers = Vec<(usize, String)>;

/// Listens on a free port and answers with `answer` whatever is neither HELLO nor GOODBYE.
pub fn start(mut answer: impl FnMut(usize, &Value) -> Answers + Send + 'static) -> SocketAddr {
    start_rude(move |from, message| match message[0].as_u64() {
        Some(code::GOODBYE) => say(
            from,
            json!([code::GOODBYE, {}, "wamp.close.goodbye_and_out"]),
        ),
        _ => answer(from, message),
    })
}

/// The same, but GOODBYE is for `answer` as well.
pub fn start_rude(answer: impl FnMut(usize, &Value) -> Answers + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let answer = Arc::new(Mutex::new(answer));
    let clients = Arc::new(Mutex::new(Vec::new()));
    thread::spawn(move || {
        for (index, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let writer = stream.try_clone().expect("a file descriptor");
            lock(&clients).push(writer);
            let (answer, clients) = (answer.clone(), clients.clone());
            thread::spawn(move || {
                serve(stream, index, &clients, |message| {
                    lock(&answer)(index, message)
                });
            });
        }
    });
    address
}

fn serve(
    stream: TcpStream,
    index: usize,
    clients: &Mutex<Vec<TcpStream>>,
    mut answer: impl FnMut(&Value) -> Answers,
) {
    #[expect(clippy::result_large_err, reason = "it is tungstenite's")]
    let choose = |_: &Request, mut response: Response| {
        let protocol = "wamp.2.json".parse().expect("a field value");
        (response.headers_mut()).insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(stream, choose) else {
        return;
    };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("a client sends JSON");
        let answers = match message[0].as_u64() {
            Some(code::HELLO) => {
                let roles = json!({"broker": {}, "dealer": {}});
                say(index, json!([code::WELCOME, index + 1, {"roles": roles}]))
            }
            _ => answer(&message),
        };
        let clients = lock(clients);
        for (to, text) in answers {
            let mut client = &clients[to];
            // A client that has gone is a client that has seen enough.
            let _ = match text.as_str() {
                "" => client.shutdown(Shutdown::Both),
                text => client.write_all(&unmasked_frame(0x81, text.as_bytes())),
            };
        }
    }
}

/// One message to one connection.
pub fn say(to: usize, message: Value) -> Answers {
    vec![(to, message.to_string())]
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
