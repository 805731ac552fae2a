//! Standard output and standard error of a running node: a bounded queue for each, and the thread
//! that writes it. Must not know what is written.
//!
//! A write to a pipe that nobody reads does not return. So a thread that serves does not write
//! there itself: it puts its line into the queue and goes on. A line that finds no room is dropped
//! and counted. The count is logged where the lines are missing, once lines can be written again.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How many bytes of the log may wait to be written.
pub const LOG_LIMIT: usize = 1 << 20;
/// How many bytes of printed lines may wait to be written.
pub const PRINT_LIMIT: usize = 64 << 10;
/// How long to wait before the next try, if another process has made the stream non-blocking.
const RETRY: Duration = Duration::from_millis(20);

static LOG: StandardStream = StandardStream::new(LOG_LIMIT);
static PRINTED: StandardStream = StandardStream::new(PRINT_LIMIT);

thread_local! {
    /// On the thread that writes the log: the lines that it logs itself and writes at once.
    static OWN_LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Starts the threads that write. Without it the first line starts its own.
///
/// # Errors
/// When the system has no threads or descriptors left.
pub fn start() -> io::Result<()> {
    LOG.ensure_running(&mut LOG.lock())?;
    PRINTED.ensure_running(&mut PRINTED.lock())
}

/// Prints a line on standard output, as `println!` does, but never waits for the reader. Components
/// print with this, because `println!` to a pipe that nobody reads would stop their thread.
pub fn print_line(text: &str) {
    PRINTED.put(format!("{text}\n").into_bytes());
}

/// A writer to standard error that never waits for the reader. Each write is a line.
#[derive(Clone, Copy, Debug)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_own = OWN_LINES.with_borrow_mut(|own| match own {
            Some(lines) => {
                lines.extend_from_slice(line);
                true
            }
            None => false,
        });
        if !is_own {
            LOG.put(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until everything logged and printed is written. To be called before the process ends.
///
/// # Blocking
/// For `timeout` at most, so that a reader that does not read cannot keep the process alive.
pub fn finish(timeout: Duration) {
    let deadline = Instant::now() + timeout;
    PRINTED.finish(deadline);
    LOG.finish(deadline);
}

/// A standard stream and the lines that wait for it.
struct StandardStream {
    limit: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    entries: VecDeque<Entry>,
    /// The length of the lines that wait and of the one being written.
    bytes: usize,
    is_running: bool,
    is_writing: bool,
}

enum Entry {
    Line(Vec<u8>),
    /// So many lines were dropped here.
    Gap(u64),
}

impl StandardStream {
    const fn new(limit: usize) -> Self {
        let queue = Queue {
            entries: VecDeque::new(),
            bytes: 0,
            is_running: false,
            is_writing: false,
        };
        Self {
            limit,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        }
    }

    /// Queues a line, or counts it if there is no room.
    fn put(&'static self, line: Vec<u8>) {
        let mut queue = self.lock();
        // If it fails, the next line tries again. What waits meanwhile is bounded.
        let _ = self.ensure_running(&mut queue);
        queue.put(line, self.limit);
        drop(queue);
        self.changed.notify_all();
    }

    fn has_room(&self) -> bool {
        self.lock().bytes <= self.limit / 2
    }

    fn ensure_running(&'static self, queue: &mut Queue) -> io::Result<()> {
        if queue.is_running {
            return Ok(());
        }
        let is_log = std::ptr::eq(self, &raw const LOG);
        // With a descriptor of its own the thread holds no lock of std's while it writes.
        let stream = if is_log {
            io::stderr().as_fd().try_clone_to_owned()
        } else {
            io::stdout().as_fd().try_clone_to_owned()
        };
        let mut stream = File::from(stream?);
        let name = if is_log { "log" } else { "print" };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if is_log {
                    OWN_LINES.set(Some(Vec::new()));
                    self.write_to(&mut stream, &mut tell_log);
                } else {
                    self.write_to(&mut stream, &mut tell_log_of_printed);
                }
            })?;
        queue.is_running = true;
        Ok(())
    }

    /// Writes what comes, for ever. `tell` logs how many lines are missing and returns whether it
    /// could.
    fn write_to<W: Write>(&self, stream: &mut W, tell: &mut dyn FnMut(u64, &mut W) -> bool) -> ! {
        let mut missing = 0;
        loop {
            let entry = self.next();
            match &entry {
                Entry::Line(line) => match write_all(stream, line) {
                    Ok(()) if missing > 0 && tell(missing, stream) => missing = 0,
                    Ok(()) => {}
                    // The disk is full, or the reader has gone. Perhaps it can be logged later.
                    Err(_) => missing += 1,
                },
                Entry::Gap(dropped) => {
                    missing += dropped;
                    if tell(missing, stream) {
                        missing = 0;
                    }
                }
            }
            self.wrote(&entry);
        }
    }

    fn next(&self) -> Entry {
        let mut queue = self.lock();
        loop {
            if let Some(entry) = queue.entries.pop_front() {
                queue.is_writing = true;
                return entry;
            }
            queue = (self.changed.wait(queue)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wrote(&self, entry: &Entry) {
        let mut queue = self.lock();
        queue.is_writing = false;
        if let Entry::Line(line) = entry {
            queue.bytes -= line.len();
        }
        if queue.entries.is_empty() {
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn finish(&self, deadline: Instant) {
        let mut queue = self.lock();
        while queue.is_running && (queue.is_writing || !queue.entries.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (queue, _) =
                (self.changed.wait_timeout(queue, left)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn put(&mut self, line: Vec<u8>, limit: usize) {
        let after_gap = matches!(self.entries.back(), Some(Entry::Gap(_)));
        // After a gap half of the room must be free. Otherwise a slow reader, who takes one line at
        // a time, would get a gap after each line.
        let limit = if after_gap { limit / 2 } else { limit };
        if self.bytes + line.len() <= limit {
            self.bytes += line.len();
            self.entries.push_back(Entry::Line(line));
        } else if let Some(Entry::Gap(dropped)) = self.entries.back_mut() {
            *dropped += 1;
        } else {
            self.entries.push_back(Entry::Gap(1));
        }
    }
}

/// Logs how many printed lines are missing, unless the log has the same reader, and the same fate.
fn tell_log_of_printed(dropped: u64, _: &mut File) -> bool {
    let can_be_told = LOG.has_room();
    if can_be_told {
        tracing::error!(
            dropped,
            "printed lines were dropped, because nobody read standard output in time"
        );
    }
    can_be_told
}

/// Logs, on the thread that writes the log, how many of its lines are missing, and writes that.
fn tell_log(dropped: u64, stream: &mut File) -> bool {
    tracing::error!(
        dropped,
        "lines of the log were dropped here, because nobody read or stored them in time"
    );
    let lines = OWN_LINES.with_borrow_mut(|own| own.as_mut().map(std::mem::take));
    write_all(stream, &lines.unwrap_or_default()).is_ok()
}

fn write_all(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that shares the stream has made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn entries(queue: &Queue) -> Vec<String> {
        (queue.entries.iter())
            .map(|entry| match entry {
                Entry::Line(line) => String::from_utf8(line.clone()).unwrap(),
                Entry::Gap(dropped) => format!("{dropped} dropped"),
            })
            .collect()
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let stream = StandardStream::new(10);
        let mut queue = stream.lock();
        for line in ["four", "five", "no", "x", "no"] {
            queue.put(line.into(), 10);
        }
        assert_eq!(entries(&queue), ["four", "five", "no", "2 dropped"]);
        // Half of the room is to be free before it goes on, and a line alone is no exception.
        queue.bytes -= 4;
        queue.put("x".into(), 10);
        assert_eq!(entries(&queue)[3], "3 dropped");
        queue.bytes -= 4;
        queue.put("x".into(), 10);
        queue.put("a line too long".into(), 10);
        assert_eq!(entries(&queue)[3..], ["3 dropped", "x", "1 dropped"]);
    }

    /// A stream that fails for each `false` and hands on what it takes.
    struct Failing {
        works: mpsc::Receiver<bool>,
        written: mpsc::Sender<String>,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.works.recv() {
                Ok(true) => {}
                _ => return Err(io::ErrorKind::StorageFull.into()),
            }
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.written.send(text).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_once_others_can() {
        static STREAM: StandardStream = StandardStream::new(1000);
        let (work, works) = mpsc::channel();
        let (written, reads) = mpsc::channel();
        for line in ["lost", "lost too", "written", "also"] {
            STREAM.lock().put(line.into(), 1000);
        }
        STREAM.lock().put(vec![b'x'; 1001], 1000);
        STREAM.lock().put("end".into(), 1000);
        for works in [false, false, true, true, true, true, true] {
            work.send(works).unwrap();
        }
        let mut tries = 0;
        thread::spawn(move || {
            STREAM.write_to(&mut Failing { works, written }, &mut |missing, stream| {
                // It cannot be told at once: the count is not lost.
                tries += 1;
                if tries == 1 {
                    return false;
                }
                stream
                    .write_all(format!("{missing} missing").as_bytes())
                    .is_ok()
            })
        });
        let told: Vec<_> = reads.iter().take(5).collect();
        assert_eq!(told, ["written", "also", "2 missing", "1 missing", "end"]);
    }
}
