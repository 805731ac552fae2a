//! Owns the answer of a static directory that may take several steps; must not know connections.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ::http::StatusCode;

use super::{
    super::{
        body::Body,
        listing::{Listings, Page},
        response::Response,
    },
    cross_origin, failure,
    root::{OutsideLinks, Root},
};

/// The answer to a request for a file.
#[derive(Debug)]
pub enum Answer {
    /// It is there.
    Now(Response),
    /// It is made in steps.
    Later(Box<Listing>),
}

impl Answer {
    /// The whole answer.
    ///
    /// # Blocking
    /// For all steps of one that is made in steps, and for those of others before it.
    pub fn finish(self) -> Response {
        match self {
            Self::Now(response) => response,
            Self::Later(mut listing) => loop {
                match listing.advance() {
                    Progress::Done(response) => return response,
                    Progress::Goes => {}
                    Progress::Waits => std::thread::yield_now(),
                }
            },
        }
    }
}

/// What the listings of one served directory share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) pages: Arc<Listings>,
    /// Whether one is being made: only one is at a time, however many clients ask, and where it can
    /// be kept the others find it.
    is_making: Arc<AtomicBool>,
}

/// A directory's listing, under way.
#[derive(Debug)]
pub struct Listing {
    root: PathBuf,
    outside: Arc<OutsideLinks>,
    page: Page,
    is_making: Arc<AtomicBool>,
    /// Whether it is this one that is being made.
    is_made: bool,
    allows_cross_origin: bool,
}

/// How far a listing is.
#[derive(Debug)]
pub enum Progress {
    /// This is the answer.
    Done(Response),
    /// There is more to do, best after others have had their turn.
    Goes,
    /// Another listing is being made first.
    Waits,
}

impl Listing {
    pub(super) fn new(
        root: &Root<'_>,
        outside: Arc<OutsideLinks>,
        page: Page,
        shared: &Shared,
        allows_cross_origin: bool,
    ) -> Self {
        Self {
            root: root.directory().to_owned(),
            outside,
            page,
            is_making: shared.is_making.clone(),
            is_made: false,
            allows_cross_origin,
        }
    }

    /// Does the next step, which takes about a millisecond at most where the disk need not be asked.
    ///
    /// # Blocking
    /// Reads a part of the directory.
    pub fn advance(&mut self) -> Progress {
        if !self.is_made {
            if self.is_making.swap(true, Ordering::AcqRel) {
                return Progress::Waits;
            }
            self.is_made = true;
        }
        let root = Root::resolved(self.root.clone(), &self.outside);
        let response = match self.page.advance(|path| root.inside(path)) {
            Ok(None) => return Progress::Goes,
            Ok(Some(page)) => Response::html_body(StatusCode::OK, Body::shared(page)),
            Err(error) => failure(&error),
        };
        self.release();
        Progress::Done(self.dressed(response))
    }

    fn dressed(&self, response: Response) -> Response {
        if self.allows_cross_origin {
            cross_origin::readable_by_all(response)
        } else {
            response
        }
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.is_made) {
            self.is_making.store(false, Ordering::Release);
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.release();
    }
}

impl Shared {
    pub(super) fn page(&self, directory: PathBuf, path: &str) -> io::Result<Page> {
        Page::new(self.pages.clone(), directory, path)
    }
}
