//! Owns reading payloads from a file or from standard input. Must not know what becomes of them.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde_json::{Deserializer, value::RawValue};
use wamp::Payload;

use super::{
    Failure,
    payload::read_payload,
    session::{Teller, Told},
};

/// The one payload of a file, or of standard input for `-`.
///
/// # Blocking
/// Until it is there.
pub(in crate::cli) fn read_one(file: &Path) -> Result<Payload, Failure> {
    let usage = |why: String| Failure::Usage(format!("--input {}: {why}", file.display()));
    let mut text = String::new();
    let read = open(file).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|why| usage(why.to_string()))?;
    let document: &RawValue =
        serde_json::from_str(text.trim()).map_err(|why| usage(why.to_string()))?;
    read_payload(document).map_err(usage)
}

/// Reads one payload after the other on a thread of its own, and tells each.
pub(in crate::cli) fn read_all(file: &Path, teller: Teller) -> Result<(), Failure> {
    let usage = |why: io::Error| Failure::Usage(format!("--input {}: {why}", file.display()));
    let reader = BufReader::new(open(file).map_err(usage)?);
    let name = file.display().to_string();
    let read = move || {
        let documents = Deserializer::from_reader(reader).into_iter::<Box<RawValue>>();
        for (index, document) in documents.enumerate() {
            let payload = (document.map_err(|why| why.to_string()))
                .and_then(|document| read_payload(&document).map(Some));
            let is_last = payload.is_err();
            let number = index + 1;
            let payload = payload.map_err(|why| format!("--input {name}: value {number}: {why}"));
            teller.tell_in_turn(Told::Input(payload));
            if is_last {
                return;
            }
        }
        teller.tell_in_turn(Told::Input(Ok(None)));
    };
    let thread = std::thread::Builder::new().name("input".to_owned());
    thread.spawn(read).map(drop).map_err(usage)
}

fn open(file: &Path) -> io::Result<Box<dyn Read + Send>> {
    Ok(if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file)?)
    })
}
