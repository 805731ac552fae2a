//! Listings that take several steps: how they are divided, shared, kept and cut off.

use super::*;

/// The steps of a listing, and its page.
fn steps(directory: &StaticDirectory, path: &str) -> (u32, String) {
    let head = head_of(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let Answer::Later(mut listing) = directory.respond(&head, path) else {
        panic!("it is a listing");
    };
    for step in 1.. {
        if let Progress::Done(response) = listing.advance() {
            return (step, String::from_utf8(seen(response, false).body).unwrap());
        }
    }
    unreachable!("a listing ends")
}

fn names(page: &str) -> Vec<&str> {
    let links = page.split("href=\"./").skip(1);
    links.filter_map(|rest| rest.split('"').next()).collect()
}

/// A site whose directory `many` has so many files, and has not changed for long.
fn site_with(files: usize) -> (Site, StaticDirectory) {
    let site = Site::new();
    let many = site.root().join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..files {
        File::create(many.join(format!("{n:05}.txt"))).unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    File::open(&many).unwrap().set_modified(long_ago).unwrap();
    let options = StaticOptions {
        enable_directory_listing: true,
        ..StaticOptions::default()
    };
    let directory = StaticDirectory::new(site.root(), &options).unwrap();
    (site, directory)
}

#[test]
fn a_large_listing_takes_many_steps_once_and_is_sorted() {
    let (site, directory) = site_with(2500);
    let (first, page) = steps(&directory, "/many/");
    assert!(first > 15, "{first} steps");
    let expected: Vec<_> = (0..2500).map(|n| format!("{n:05}.txt")).collect();
    assert_eq!(names(&page), expected);

    assert_eq!(steps(&directory, "/many/"), (1, page), "it was kept");

    // A change is seen at once, and so are those that follow within the clock's tick.
    let many = site.root().join("many");
    for name in ["a", "b", "c"] {
        File::create(many.join(name)).unwrap();
        let (_, page) = steps(&directory, "/many/");
        assert_eq!(names(&page).last(), Some(&name));
    }
    fs::remove_file(many.join("a")).unwrap();
    fs::create_dir(many.join("a")).unwrap();
    let (_, page) = steps(&directory, "/many/");
    assert_eq!(names(&page)[2500..], ["a/", "b", "c"]);
}

#[test]
fn what_is_more_than_can_be_shown_is_said() {
    let (_site, directory) = site_with(10_001);
    let (_, page) = steps(&directory, "/many/");
    assert_eq!(names(&page).len(), 10_000);
    assert!(page.contains("There is more than the 10,000 entries"));
}

#[test]
fn one_listing_is_made_at_a_time_and_one_that_is_given_up_stops_no_other() {
    let (_site, directory) = site_with(1000);
    let head = head_of("GET /many/ HTTP/1.1\r\nHost: h\r\n\r\n");
    let listing = || match directory.respond(&head, "/many/") {
        Answer::Later(listing) => listing,
        Answer::Now(_) => panic!("it is a listing"),
    };
    let (mut first, mut second) = (listing(), listing());
    assert!(matches!(first.advance(), Progress::Goes));
    assert!(matches!(second.advance(), Progress::Waits));
    drop(first);
    assert!(matches!(second.advance(), Progress::Goes));
    assert!(matches!(listing().advance(), Progress::Waits));
    let whole = Answer::Later(second).finish();
    assert_eq!(whole.status(), 200);
    assert!(
        matches!(listing().advance(), Progress::Done(_)),
        "it was kept"
    );
}

#[test]
fn a_listing_with_links_is_made_anew() {
    let (site, directory) = site_with(3);
    let many = site.root().join("many");
    symlink("../digits.txt", many.join("link")).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    File::open(&many).unwrap().set_modified(long_ago).unwrap();
    assert!(names(&steps(&directory, "/many/").1).contains(&"link"));
    fs::remove_file(site.root().join("digits.txt")).unwrap();
    assert!(!names(&steps(&directory, "/many/").1).contains(&"link"));
}
