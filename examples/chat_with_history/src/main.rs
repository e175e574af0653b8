//! The chat of the binary `worker`, with what was said in rooms kept in MySQL or MariaDB and shown to newcomers.
//!
//! [`history`] answers the chat on the cores; [`database`] is what runs on tokio. README.md says how to run it.
#![forbid(unsafe_code)]

mod database;
mod history;

use std::process::ExitCode;
use std::sync::Arc;

use ringway_apps::chat::Chat;

use database::Database;
use history::Kept;

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

/// The chat, with what was said kept in MySQL or MariaDB and shown to newcomers.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// mysql://USER:PASSWORD@HOST/DATABASE (default: what the environment has as DATABASE_URL)
    #[argh(option, arg_name = "URL")]
    database_url: Option<String>,
}

fn main() -> ExitCode {
    let (settings, flags) = ringway_worker::parse::<Flags>("chat_with_history");
    let url = flags.database_url.or_else(|| std::env::var("DATABASE_URL").ok());
    // Not repeated in what is said: it has a password in it.
    let Some(database) = url.as_deref().and_then(Database::new) else {
        ringway_worker::misuse("needs --database-url or DATABASE_URL as mysql://USER:PASSWORD@HOST/DATABASE")
    };
    let database = Arc::new(database);
    settings.run(move |_core| Chat::with_history(Kept::new(Arc::clone(&database))))
}
