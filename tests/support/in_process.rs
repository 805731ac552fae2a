//! A node in the test's own process, for component classes of the test's own.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use wampgres::{
    component::{Classes, Component},
    config, node,
};

/// A running node. Dropped, it is stopped.
pub struct InProcess(Option<node::Node>);

impl InProcess {
    /// Starts a node of these workers, in which `classname` stands for `C`.
    pub fn start<C: Component>(classname: &str, workers: &[Value]) -> Self {
        Self::start_config::<C>(classname, &json!({"version": 2, "workers": workers}))
    }

    /// Starts a node of this configuration, in which `classname` stands for `C`.
    pub fn start_config<C: Component>(classname: &str, config: &Value) -> Self {
        let classes = Classes::default().with::<C>(classname);
        let names: Vec<_> = classes.names().collect();
        let options = config::Options {
            classes: &names,
            database_classes: &[],
            environment: &|_| None,
        };
        let text = config.to_string();
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("web")).expect("a directory for the page");
        let config = config::check_text(&text, directory.path(), &options);
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        let times = node::StopTimes::of(node::STOP_TIMEOUT);
        let node = node::Node::start(&config, &classes, node::Threads::default(), times);
        Self(Some(node.unwrap_or_else(|error| panic!("{error}"))))
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        let node = self.0.as_ref().expect("it is there until it is stopped");
        node.addresses()[0].sockets[0]
    }

    /// The WebSocket of the first listener.
    pub fn websocket_url(&self) -> String {
        format!("ws://{}/ws", self.address())
    }

    /// Stops the node, and says how long that took.
    pub fn stop(mut self) -> Duration {
        let began = std::time::Instant::now();
        if let Some(node) = self.0.take() {
            node.stop();
        }
        began.elapsed()
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            node.stop();
        }
    }
}
