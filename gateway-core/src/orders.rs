//! What may be asked of a gateway that runs, on the command line.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use crate::{Order, give_order};

/// Stop taking new clients, and serve those that are there.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "cordon")]
pub struct CordonFlags {
    /// the running gateway's --control
    #[argh(option, arg_name = "FILE")]
    control: Option<PathBuf>,
}

/// Take new clients again, after cordon or drain.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "uncordon")]
pub struct UncordonFlags {
    /// the running gateway's --control
    #[argh(option, arg_name = "FILE")]
    control: Option<PathBuf>,
}

/// Close the clients, as a stop does, and take no new ones.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "drain")]
pub struct DrainFlags {
    /// the running gateway's --control
    #[argh(option, arg_name = "FILE")]
    control: Option<PathBuf>,
}

impl CordonFlags {
    /// Has the gateway do it; `control` is that of the program's own flags. Prints what has happened, or ends the process with
    /// one line on stderr.
    pub fn perform(self, control: Option<PathBuf>) {
        give(Order::Cordon, self.control.or(control));
    }
}

impl UncordonFlags {
    /// As [`CordonFlags::perform`].
    pub fn perform(self, control: Option<PathBuf>) {
        give(Order::Uncordon, self.control.or(control));
    }
}

impl DrainFlags {
    /// As [`CordonFlags::perform`].
    pub fn perform(self, control: Option<PathBuf>) {
        give(Order::Drain, self.control.or(control));
    }
}

fn give(order: Order, control: Option<PathBuf>) {
    let Some(path) = control else {
        program::misuse("which gateway? say --control, as it was started with");
    };
    match give_order(order, &path) {
        Ok(what) => program::print(&format!("{what}\n")),
        Err(why) => program::fail(why),
    }
}
