//! Requests of many threads, and which thread sends them.

use std::sync::{Mutex, OnceLock, atomic::AtomicBool};

use super::*;
use wamp::{Outbound, Work};

/// A router in this process: it answers each CALL before `send` returns, and the callback calls
/// again. Kept in the order in which they came, the calls have ids one after the other.
struct Echo {
    client: OnceLock<Arc<Client<Notes>>>,
    requests: Mutex<Vec<u64>>,
}

impl Transport for Echo {
    fn send(&self, message: Message) {
        let request = match message {
            Message::Call(call) => call.request,
            Message::Publish(publish) => publish.request,
            _ => return,
        };
        self.requests.lock().unwrap().push(request.value());
        let result = wamp::Result {
            request,
            details: wamp::ResultDetails::default(),
            payload: Payload::empty(),
        };
        self.client.get().unwrap().on_message(result.into());
    }
}

fn call_again(client: &Arc<Client<Notes>>, times: usize) {
    let again = client.clone();
    client.call(
        "com.example.p".into(),
        options(),
        Payload::empty(),
        move |_| {
            if times > 0 {
                call_again(&again, times - 1);
            }
        },
    );
}

#[test]
fn requests_of_many_threads_and_from_callbacks_leave_in_the_order_of_their_ids() {
    const THREADS: usize = 4;
    const CALLS: usize = 500;
    let mut played = Played::new(Limits::default());
    let echo = Arc::new(Echo {
        client: OnceLock::from(played.client.clone()),
        requests: Mutex::default(),
    });
    played.transport = echo.clone();
    played.client.on_open(played.transport.clone());
    played.hear(r#"[2, 7, {"roles": {}}]"#);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                call_again(&played.client, CALLS - 1);
                let topic = "com.example.t".into();
                let options = PublishOptions::default();
                (played.client)
                    .publish(topic, options, Payload::empty())
                    .unwrap();
            });
        }
    });
    let requests = echo.requests.lock().unwrap();
    let all = (THREADS * (CALLS + 1)) as u64;
    assert_eq!(*requests, (1..=all).collect::<Vec<_>>());
}

/// A way to a router that is better taken by one thread, which the test plays as well.
struct Threaded {
    sent: Sender<Message>,
    io_thread: Arc<IoThread>,
}

struct IoThread {
    is_here: AtomicBool,
    is_over: AtomicBool,
    posted: Sender<Message>,
}

impl Transport for Threaded {
    fn send(&self, message: Message) {
        self.sent.send(message).unwrap();
    }
    fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        let is_here = self.io_thread.is_here.load(Ordering::Relaxed);
        is_here.then(|| self.io_thread.clone() as Arc<dyn Outbound>)
    }
}

impl Outbound for IoThread {
    fn post(&self, message: Message) -> Result<(), Message> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(message);
        }
        self.posted.send(message).unwrap();
        Ok(())
    }

    fn run(&self, work: Work) -> Result<(), Work> {
        Err(work)
    }
}

#[test]
fn requests_of_other_threads_are_left_to_an_io_thread_in_their_order() {
    let (posted, post) = mpsc::channel();
    let io_thread = Arc::new(IoThread {
        is_here: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        posted,
    });
    let (sender, sent) = mpsc::channel();
    let mut played = Played::new(Limits::default());
    played.sent = sent;
    played.transport = Arc::new(Threaded {
        sent: sender,
        io_thread: io_thread.clone(),
    });
    let ids = |played: &Played| -> Vec<u64> {
        let sent = played.sent();
        sent.iter()
            .map(|message| message[1].as_u64().unwrap())
            .collect()
    };
    // Before the I/O threads run, whoever makes a request sends it.
    played.join();
    played.call();
    assert_eq!(ids(&played), [1]);

    io_thread.is_here.store(true, Ordering::Relaxed);
    played.hear("[50, 1, {}]");
    played.call();
    assert_eq!(ids(&played), [2]);
    io_thread.is_here.store(false, Ordering::Relaxed);
    for _ in 3..=200 {
        played.call();
    }
    assert_eq!(ids(&played), [] as [u64; 0]);
    // The first has come to the thread, and the others follow it, with a pause for others.
    io_thread.is_here.store(true, Ordering::Relaxed);
    let mut turns = Vec::new();
    while let Ok(message) = post.try_recv() {
        played.client.on_posted(message);
        turns.push(ids(&played));
    }
    assert_eq!(turns.concat(), (3..=200).collect::<Vec<_>>());
    assert_eq!(turns.len(), 2);

    io_thread.is_here.store(false, Ordering::Relaxed);
    io_thread.is_over.store(true, Ordering::Relaxed);
    played.call();
    assert_eq!(ids(&played), [201]);
}
