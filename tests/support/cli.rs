//! A command of the program, as a shell runs it. Owns no assertion about the product.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{node::ENVIRONMENT, wait};

/// A command that runs. Dropped, it is killed.
pub struct Cli {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// What a command has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: Option<i32>,
    /// The lines of standard output that nobody has read.
    pub stdout: Vec<String>,
    /// The same of standard error.
    pub stderr: String,
}

impl Cli {
    /// Runs `wampgres` with these arguments.
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        Self {
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take().expect("stdout is piped")),
            stderr: lines(child.stderr.take().expect("stderr is piped")),
            child,
        }
    }

    /// Runs a command with a router's address and more arguments.
    pub fn start_at(address: SocketAddr, command: &str, args: &[&str]) -> Self {
        let url = format!("ws://{address}/ws");
        let mut all = vec![command, "--url", url.as_str()];
        all.extend(args);
        Self::start(&all)
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(text.as_bytes()).expect("it is read");
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> String {
        let line = self.stdout.recv_timeout(wait::PATIENCE);
        line.unwrap_or_else(|_| panic!("no line on stdout; stderr: {:?}", self.stderr_so_far()))
    }

    /// The next line of its standard output, as JSON.
    pub fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|why| panic!("{line:?}: {why}"))
    }

    /// Waits for a line of its standard error.
    pub fn expect_on_stderr(&mut self, words: &str) {
        loop {
            match self.stderr.recv_timeout(wait::PATIENCE) {
                Ok(line) if line.contains(words) => return,
                Ok(_) => {}
                Err(_) => panic!("no line with {words:?} on stderr"),
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it is there");
    }

    /// Reads its standard output no more.
    pub fn close_stdout(&mut self) {
        self.stdout = channel().1;
    }

    /// Closes its standard input and waits for its end.
    pub fn finish(mut self) -> Outcome {
        drop(self.stdin.take());
        let code = self.wait();
        Outcome {
            code,
            stdout: self.stdout.iter().collect(),
            stderr: self.stderr.iter().collect::<Vec<_>>().join("\n"),
        }
    }

    /// Waits for its end and gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let ended = || self.child.try_wait().expect("the child is ours");
        wait::until("the end of the command", ended).code()
    }

    /// Its exit code, if it has ended.
    pub fn try_wait(&mut self) -> Option<i32> {
        let ended = self.child.try_wait().expect("the child is ours");
        ended.and_then(|status| status.code())
    }

    fn stderr_so_far(&self) -> Vec<String> {
        self.stderr.try_iter().collect()
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The one line of standard output of a command that has succeeded, as JSON.
    pub fn value(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stdout.len(), 1, "{self:?}");
        serde_json::from_str(&self.stdout[0]).expect("a line of JSON")
    }

    /// Asserts that it failed with this exit code, these words and nothing on standard output.
    pub fn assert_fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(words), "{words:?} in {self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
    }
}

/// Runs a command to its end.
pub fn run(address: SocketAddr, command: &str, args: &[&str]) -> Outcome {
    Cli::start_at(address, command, args).finish()
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}
