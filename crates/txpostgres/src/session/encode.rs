//! Owns how the messages to PostgreSQL are written, straight into the output. Must not know what
//! they are for. See ["Message
//! Formats"](https://www.postgresql.org/docs/current/protocol-message-formats.html) in PostgreSQL's
//! manual.

/// Writes a message: its tag, its length and what `body` writes.
fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    // What goes into a message was measured before, so it is far below 2 GiB.
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// Asks the server to prepare a statement with parameters of these types.
pub(super) fn parse(out: &mut Vec<u8>, name: &str, sql: &str, types: impl Iterator<Item = u32>) {
    message(out, b'P', |out| {
        text(out, name.as_bytes());
        text(out, sql.as_bytes());
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut count = 0_u16;
        for oid in types {
            out.extend_from_slice(&oid.to_be_bytes());
            count += 1;
        }
        out[at..at + 2].copy_from_slice(&count.to_be_bytes());
    });
}

/// Binds a statement to the unnamed portal. `formats` and `values` are the parts of the message as
/// it has them, with their counts. All results are binary.
pub(super) fn bind(out: &mut Vec<u8>, name: &str, formats_and_values: &[u8]) {
    message(out, b'B', |out| {
        out.push(0);
        text(out, name.as_bytes());
        out.extend_from_slice(formats_and_values);
        out.extend_from_slice(&[0, 1, 0, 1]);
    });
}

/// Binds a statement whose parameters are texts.
pub(super) fn bind_texts<'a>(
    out: &mut Vec<u8>,
    name: &str,
    values: impl Iterator<Item = &'a [u8]>,
) {
    message(out, b'B', |out| {
        out.push(0);
        text(out, name.as_bytes());
        out.extend_from_slice(&[0, 0]);
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut count = 0_u16;
        for value in values {
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
            count += 1;
        }
        out[at..at + 2].copy_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 1]);
    });
}

/// Asks what the parameters and columns of a prepared statement are.
pub(super) fn describe(out: &mut Vec<u8>, name: &str) {
    message(out, b'D', |out| {
        out.push(b'S');
        text(out, name.as_bytes());
    });
}

/// Runs the unnamed portal: `most` rows of it, or all if that is 0.
pub(super) fn execute(out: &mut Vec<u8>, most: i32) {
    let [a, b, c, d] = most.to_be_bytes();
    out.extend_from_slice(&[b'E', 0, 0, 0, 9, 0, a, b, c, d]);
}

/// Gives a prepared statement up.
pub(super) fn close(out: &mut Vec<u8>, name: &str) {
    message(out, b'C', |out| {
        out.push(b'S');
        text(out, name.as_bytes());
    });
}

/// Asks for what the server holds back, in the middle of a transaction.
pub(super) fn flush(out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'H', 0, 0, 0, 4]);
}

/// Ends an implicit transaction, or what was skipped after an error.
pub(super) fn sync(out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'S', 0, 0, 0, 4]);
}

/// Sends a script by the simple query protocol.
pub(super) fn query(out: &mut Vec<u8>, script: &str) {
    message(out, b'Q', |out| text(out, script.as_bytes()));
}

/// Refuses to send the data of a COPY.
pub(super) fn copy_fail(out: &mut Vec<u8>, why: &str) {
    message(out, b'f', |out| text(out, why.as_bytes()));
}

/// Says good-bye.
pub(super) fn terminate(out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'X', 0, 0, 0, 4]);
}

/// Begins a session of protocol 3.0. No text may have a NUL in it.
pub(super) fn startup<'a>(
    out: &mut Vec<u8>,
    parameters: impl Iterator<Item = (&'static str, &'a str)>,
) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 0, 3, 0, 0]);
    for (name, value) in parameters {
        text(out, name.as_bytes());
        text(out, value.as_bytes());
    }
    out.push(0);
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// A password, or the hash of one.
pub(super) fn password(out: &mut Vec<u8>, password: &[u8]) {
    message(out, b'p', |out| text(out, password));
}

/// The first message of a SASL mechanism.
pub(super) fn sasl_initial(out: &mut Vec<u8>, mechanism: &str, data: &[u8]) {
    message(out, b'p', |out| {
        text(out, mechanism.as_bytes());
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// A later message of it.
pub(super) fn sasl_response(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'p', |out| out.extend_from_slice(data));
}
