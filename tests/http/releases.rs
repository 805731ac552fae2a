//! A directory that is a symbolic link, and links in it that lead out.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{node_of, node_with_files};
use crate::support::{http::get, node::router};

fn switch(web: &Path, to: &str) {
    let new = web.with_file_name("new");
    symlink(to, &new).expect("a link");
    fs::rename(&new, web).expect("the link is put over the old one");
}

#[test]
fn a_release_switched_by_a_link_is_served_at_once() {
    let node = node_with_files(&[]);
    let web = node.directory().join("web");
    for (release, text) in [("web-1", "first"), ("web-2", "second")] {
        let release = node.directory().join(release);
        fs::create_dir(&release).expect("a directory");
        fs::write(release.join("index.html"), text).expect("a file");
    }
    fs::write(node.directory().join("web-1/gone.txt"), "gone").expect("a file");
    symlink("../web-1/gone.txt", node.directory().join("web-2/out.txt")).expect("a link");
    fs::remove_dir_all(&web).expect("the directory that the support made");
    symlink("web-1", &web).expect("a link");
    let first = get(node.address(), "/");
    assert_eq!(first.text(), "first");
    assert_eq!(get(node.address(), "/gone.txt").text(), "gone");

    switch(&web, "web-2");
    let second = get(node.address(), "/");
    assert_eq!(second.text(), "second");
    assert_ne!(first.field("etag"), second.field("etag"));
    assert_eq!(get(node.address(), "/gone.txt").status, 404);
    // What was inside of the old release is outside of the new one.
    assert_eq!(get(node.address(), "/out.txt").status, 404);

    fs::remove_dir_all(node.directory().join("web-1")).expect("the old release");
    assert_eq!(get(node.address(), "/").text(), "second");
    fs::remove_file(&web).expect("the link");
    assert_eq!(get(node.address(), "/").status, 404);
    symlink("web-2", &web).expect("a link");
    assert_eq!(get(node.address(), "/").text(), "second");
}

#[test]
fn a_link_that_leads_out_is_logged_once_with_its_path() {
    let mut node = node_of(&router(), &[("index.html", "page")]);
    let web = node.directory().join("web");
    symlink("..", web.join("up")).expect("a link");
    symlink("../config.json", web.join("other.json")).expect("a link");
    for path in ["/up", "/up/", "/up/config.json", "/up/config.json"] {
        assert_eq!(get(node.address(), path).status, 404, "{path}");
    }
    assert_eq!(get(node.address(), "/other.json").status, 404);
    node.wait_for_log("web/other.json");
    let log = node.log();
    assert_eq!(
        log.matches("leads out of the directory").count(),
        2,
        "{log}"
    );
    assert_eq!(log.matches("web/up").count(), 1, "{log}");
}
