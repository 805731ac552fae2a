//! The web transport's HTTP/1.1, byte by byte.

mod connections;
mod files;
mod interfaces;
mod large;
mod proxies;
mod refusals;
mod releases;
mod services;

use serde_json::Value;

use crate::support::node::{Node, config, router};

/// A node that serves these files, named from `web` on; a directory ends in a slash.
fn node_with_files(files: &[(&str, &str)]) -> Node {
    node_of(&router(), files)
}

fn node_of(worker: &Value, files: &[(&str, &str)]) -> Node {
    let node = Node::start(&config(std::slice::from_ref(worker)));
    let web = node.directory().join("web");
    for (name, content) in files {
        let path = web.join(name);
        let directory = path.parent().expect("it is in web");
        std::fs::create_dir_all(directory).expect("a directory");
        std::fs::write(&path, content).expect("a file");
    }
    node
}
