//! The chat of the binary `worker`, with what was said in rooms kept in MySQL or MariaDB and shown to newcomers.
//!
//! [`history`] answers the chat on the cores; [`database`] is what runs on tokio. README.md says how to run it.
#![forbid(unsafe_code)]

mod database;
mod history;

use std::process::ExitCode;
use std::sync::Arc;

use ringway_worker::apps::chat::Chat;
use ringway_worker::{AdminAddress, Settings};

use database::Database;
use history::Kept;

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

/// The chat, with what was said kept in MySQL or MariaDB and shown to newcomers.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// mysql://USER:PASSWORD@HOST/DATABASE (default: what the environment has as DATABASE_URL)
    #[argh(option)]
    database_url: Option<String>,
    /// name, one per worker program and machine (default chat)
    #[argh(option, default = "String::from(\"chat\")")]
    name: String,
    /// cores to use (default: one per CPU)
    #[argh(option, default = "Settings::default().count")]
    count: usize,
    /// registers, HOST:PORT[,HOST:PORT…] (default 127.0.0.1:1236)
    #[argh(option, default = "Settings::default().register_address")]
    register_address: String,
    /// the key that registers and gateways know (default none)
    #[argh(option, default = "Settings::default().secret_key")]
    secret_key: String,
    /// port or address where `ringway status` may ask how things are (default: none)
    #[argh(option)]
    admin: Option<AdminAddress>,
}

fn main() -> ExitCode {
    let flags: Flags = program::parse_as("worker", "chat_with_history");
    let url = flags.database_url.or_else(|| std::env::var("DATABASE_URL").ok());
    // Not repeated in what is said: it has a password in it.
    let Some(database) = url.as_deref().and_then(Database::new) else {
        program::misuse("needs --database-url or DATABASE_URL as mysql://USER:PASSWORD@HOST/DATABASE")
    };
    let database = Arc::new(database);
    let settings = Settings {
        name: flags.name,
        count: flags.count,
        register_address: flags.register_address,
        secret_key: flags.secret_key,
        admin: flags.admin,
        ..Settings::default()
    };
    settings.run(move |_core| Chat::with_history(Kept::new(Arc::clone(&database))))
}
