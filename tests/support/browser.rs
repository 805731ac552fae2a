//! A real Chromium without a window, driven over the Chrome DevTools Protocol. Knows nothing of
//! the page it shows.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::wait;

/// A browser with one page. Dropped, it is closed.
pub struct Browser {
    chromium: Child,
    devtools: WebSocket<TcpStream>,
    /// The DevTools session of the page.
    session: Value,
    last_id: u64,
    console: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium and opens the page.
    pub fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut chromium = Command::new("chromium")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args([
                "--headless",
                "--remote-debugging-port=0",
                "--no-sandbox",
                "--no-first-run",
                "--disable-gpu",
                "--disable-quic",
                "--disable-sync",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "about:blank",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromium: {error}: scripts/test installs it"));
        let port_file = profile.path().join("DevToolsActivePort");
        let (port, path) = wait::until("Chromium's DevTools", || {
            let ended = chromium.try_wait().expect("the child is ours");
            assert!(ended.is_none(), "chromium has ended: {ended:?}");
            let text = fs::read_to_string(&port_file).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim_end().to_owned()))
        });
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("DevTools listen");
        let patience = Some(wait::PATIENCE);
        socket.set_read_timeout(patience).expect("a read timeout");
        let url_of_devtools = format!("ws://127.0.0.1:{port}{path}");
        let (devtools, _) = tungstenite::client(url_of_devtools, socket).expect("DevTools answer");
        let mut browser = Self {
            chromium,
            devtools,
            session: Value::Null,
            last_id: 0,
            console: Vec::new(),
            _profile: profile,
        };
        let target = browser.command("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", target);
        browser.session = attached["sessionId"].clone();
        browser.command("Runtime.enable", json!({}));
        browser.command("Page.navigate", json!({"url": url}));
        browser
    }

    /// What a JavaScript expression evaluates to in the page, by value.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let expression = json!({"expression": expression, "returnByValue": true});
        let evaluated = self.command("Runtime.evaluate", expression);
        let exception = &evaluated["exceptionDetails"];
        assert!(exception.is_null(), "the page threw: {exception}");
        evaluated["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true in the page.
    pub fn wait_for(&mut self, expression: &str) {
        // The page may still be on its way: what is not there yet is not true yet.
        let tried = format!("(() => {{ try {{ return !!({expression}) }} catch {{}} }})()");
        wait::until(expression, || {
            (self.evaluate(&tried) == json!(true)).then_some(())
        });
    }

    /// What the page has written on the console so far.
    pub fn console(&self) -> &[String] {
        &self.console
    }

    fn command(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        loop {
            let message = self.devtools.read().expect("DevTools go on");
            let message = message.to_text().expect("DevTools speak JSON");
            let mut message: Value = serde_json::from_str(message).expect("DevTools speak JSON");
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            if message["method"] == "Runtime.consoleAPICalled" {
                self.console.push(words(&message["params"]["args"]));
            }
        }
    }

    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        let command = Message::text(command.to_string());
        self.devtools.send(command).expect("DevTools listen");
        self.last_id
    }
}

/// The arguments of one `console.log`, as the console shows them.
fn words(args: &Value) -> String {
    let args = args.as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |arg: &Value| match &arg["value"] {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, Chromium takes all of its processes with it.
        let close = json!({"id": 0, "method": "Browser.close"});
        let asked = self.devtools.send(Message::text(close.to_string()));
        let socket = self.devtools.get_ref();
        if asked.is_ok() && socket.set_read_timeout(Some(wait::PATIENCE)).is_ok() {
            while self.devtools.read().is_ok() {}
        } else {
            let _ = self.chromium.kill();
        }
        let _ = self.chromium.wait();
    }
}
