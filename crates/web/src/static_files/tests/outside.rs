//! Paths and links that lead out of the directory, and what is no file.

use super::*;

#[test]
fn there_is_no_way_out() {
    let site = Site::new();
    let root = site.root();
    let secret = site.place.path().join("secret.txt");
    symlink(&secret, root.join("link.txt")).unwrap();
    symlink("../secret.txt", root.join("relative.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../rootless", root.join("sibling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/etc", root.join("empty/index.htm")).unwrap();
    let directory = site.directory();
    let index = head_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let cases = [
        "/..",
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/sub/../digits.txt",
        "/./digits.txt",
        "//digits.txt",
        "//",
        "/sub//index.html",
        "..",
        "../secret.txt",
        "/..\\secret.txt",
        "/sub\\index.html",
        "/digits.txt\0",
        "/digits.txt\0.html",
        "/digits.txt/",
        "/digits.txt/x",
        "/missing",
        "/.env",
        "/.git/config",
        "/.git/",
        "/link.txt",
        "/relative.txt",
        "/up/",
        "/up/secret.txt",
        "/up/root/digits.txt/..",
        "/sibling/secret.txt",
        "/loop",
        "/empty/",
        "/empty/index.htm",
    ];
    for sub_path in cases {
        let answer = seen(directory.respond(&index, sub_path).finish(), false);
        assert_eq!(answer.status, 404, "{sub_path:?}");
        let page = String::from_utf8(answer.body).unwrap();
        assert!(!page.contains("secret"), "{sub_path:?}");
    }
    let absolute = format!("/{}", secret.display());
    assert_eq!(directory.respond(&index, &absolute).finish().status(), 404);
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(directory.respond(&index, &long).finish().status(), 404);
}

#[test]
fn links_that_stay_inside_are_followed() {
    let site = Site::new();
    let root = site.root();
    symlink("digits.txt", root.join("same.txt")).unwrap();
    symlink(root.join("sub"), root.join("other")).unwrap();
    symlink("../../digits.txt", root.join("sub/deep/back.txt")).unwrap();
    symlink(&root, site.place.path().join("alias")).unwrap();
    for (path, content) in [
        ("/same.txt", "0123456789"),
        ("/other/", "html"),
        ("/other/deep/back.txt", "0123456789"),
    ] {
        let answer = site.ask(&format!("GET {path}"), "");
        assert_eq!(
            (answer.status, &*answer.body),
            (200, content.as_bytes()),
            "{path}"
        );
    }
    let alias = site.place.path().join("alias");
    let alias = StaticDirectory::new(alias, &StaticOptions::default()).unwrap();
    assert_eq!(ask(&alias, "GET /digits.txt", "").status, 200);
}

#[test]
fn special_files_are_not_found_and_do_not_block() {
    let site = Site::new();
    let fifo = site.root().join("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .expect("mkfifo is part of the coreutils: apt-get install coreutils");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.root().join("socket")).unwrap();
    fs::create_dir(site.root().join("piped")).unwrap();
    symlink("../fifo", site.root().join("piped/index.html")).unwrap();
    for path in ["/fifo", "/socket", "/piped/"] {
        assert_eq!(site.ask(&format!("GET {path}"), "").status, 404, "{path}");
    }
    let whole_system = StaticDirectory::new("/", &StaticOptions::default()).unwrap();
    assert_eq!(ask(&whole_system, "GET /dev/zero", "").status, 404);
}
