//! What a real server has sent, in other pieces: the same must come of it, and no part of it may
//! bring a session down.

use std::{env, fs, sync::Arc};

use super::{
    super::fuzzing::{fuzz_session, login, replay, works},
    client::{Client, server, unix},
};

/// What a real server sends when all kinds of work are sent to it.
fn recorded() -> Vec<u8> {
    let socket = Box::new(unix(server()));
    let mut client = Client::begin(socket, login(), 8, Arc::default()).unwrap();
    let mut last = 0;
    for work in works() {
        last = client.send(work);
    }
    client.log_in().unwrap();
    client.end(last).unwrap();
    client.heard
}

#[test]
fn the_same_comes_of_the_same_bytes_in_any_pieces() {
    let bytes = recorded();
    let whole = replay(works().into_iter(), &bytes, bytes.len());
    assert!(
        whole.lasts && whole.told.len() > works().len(),
        "{:#?}",
        whole.told
    );
    for piece in [1, 2, 3, 5, 7, 100, 1000] {
        let again = replay(works().into_iter(), &bytes, piece);
        assert_eq!((&again.told, again.lasts), (&whole.told, true));
        assert_eq!(again.out, whole.out);
    }
    // Cut off at every byte: what came before it is told, and the rest is waited for.
    for end in 0..bytes.len() {
        let cut = replay(works().into_iter(), &bytes[..end], 4096);
        assert!(
            cut.lasts && whole.told.starts_with(&cut.told),
            "cut at {end}"
        );
    }
}

#[test]
fn any_byte_may_be_another() {
    let bytes = recorded();
    for at in 0..bytes.len() {
        for other in [bytes[at] ^ 1 << (at % 8), 255] {
            let mut broken = bytes.clone();
            broken[at] = other;
            replay(works().into_iter(), &broken, 4096);
        }
    }
}

/// As they run in the fuzz target. `RENEW_CORPUS=1` writes into it what a real server sends.
#[test]
fn the_corpus_of_the_fuzz_target_runs() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/session");
    if env::var_os("RENEW_CORPUS").is_some() {
        let all = [&[7, 255, 255, 255], &recorded()[..]].concat();
        fs::write(format!("{corpus}/recorded"), all).unwrap();
    }
    let files: Vec<_> = fs::read_dir(corpus).unwrap().collect();
    assert!(files.len() >= 10, "{} files", files.len());
    for file in files {
        fuzz_session(&fs::read(file.unwrap().path()).unwrap());
    }
}
