//! Instead of the page, where the program is built without it.

use std::path::Path;

use tokio::sync::{broadcast, watch};

use super::buses::Buses;
use crate::adopt::edit::Edit;
use crate::config::Config;
use crate::request::Desk;
use crate::status::{News, Status};

/// Never open.
#[derive(Debug)]
pub(super) struct Page;

/// Never made.
#[derive(Debug)]
pub(super) enum Prepared {}

impl Page {
    /// Nothing.
    pub(super) fn new(_: watch::Sender<Status>, _: broadcast::Sender<News>) -> Self {
        Self
    }

    /// Never.
    pub(super) const fn is_open(&self) -> bool {
        false
    }

    /// Refuses a configuration that asks for a page.
    #[expect(clippy::unused_async, reason = "as the page that is there")]
    pub(super) async fn prepare(&self, config: &Config) -> Result<Option<Prepared>, String> {
        match config.http {
            None => Ok(None),
            Some(_) => Err("[http] is set, but this program was built without the feature `http`".to_owned()),
        }
    }

    /// Shows nothing.
    pub(super) fn show(&mut self, _: Option<Prepared>, _: &Config, _: Option<&Path>, _: &[Edit], _: Desk, _: &Buses) {}
}
