//! Messages nested 100,000 deep cost nobody anything but their sender.

use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    websocket::{Client, Echo, code},
};

const LEVELS: usize = 100_000;
const VIOLATION: &str = "wamp.error.protocol_violation";

#[test]
fn deep_nesting_ends_its_senders_session_while_others_are_answered() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    // As many as sit on every I/O thread, that of the sender too.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut others: Vec<_> = (0..processors)
        .map(|_| Client::join(node.address()))
        .collect();

    let lists = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    let dicts = format!("{}0{}", r#"{"k":"#.repeat(LEVELS), "}".repeat(LEVELS));
    for text in [
        format!(r#"[48,1,{{}},"com.example.echo",[{lists}]]"#),
        format!(r#"[48,1,{{}},"com.example.echo",[{dicts}]]"#),
        format!(r#"[48,1,{{}},"com.example.echo",[],{dicts}]"#),
        format!(r#"[16,1,{{}},"com.example.topic",[],{{"k":{lists}}}]"#),
        format!(r#"[48,{lists},{{}},"com.example.echo"]"#),
        format!(r#"[48,1,{{}},{lists}]"#),
        lists.clone(),
        dicts.clone(),
        "[".repeat(LEVELS),
        r#"{"k":"#.repeat(LEVELS),
    ] {
        let mut sender = Client::join(node.address());
        sender.send_text(&text);
        for other in &mut others {
            assert_eq!(other.result_of("com.example.echo", &json!([1])), json!([1]));
        }
        sender.expect_abort(VIOLATION);
    }
}

#[test]
fn deep_nesting_in_an_option_that_nobody_reads_is_skipped() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let lists = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    let mut client = Client::open(node.address());
    client.send_text(&format!(
        r#"[1,"realm1",{{"roles":{{"caller":{{}}}},"x_deep":{lists}}}]"#
    ));
    client.welcomed();
    client.send_text(&format!(
        r#"[48,1,{{"x_deep":{lists}}},"com.example.echo",["answered"]]"#
    ));
    client.expect(&json!([code::RESULT, 1, {}, ["answered"]]));
}
