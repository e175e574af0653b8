//! Both ends of a session against each other, in memory, and against what means harm; certificates from files.

mod certificates;
mod clients;
mod files;
mod mutual;
mod sessions;
