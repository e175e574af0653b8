//! What a worker process tells its master, one line each.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::str::FromStr;

/// Something that a worker process has told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Report {
    /// Every core has heard from a register and tried each gateway in its list.
    Ready,
    /// A core has turned.
    Alive,
    /// Every core has turned since this was said the last time.
    AllAlive,
    /// The gateways to which all cores have links that were taken.
    Gateways(BTreeSet<SocketAddrV4>),
}

impl Report {
    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        match self {
            Report::Ready => "ready\n".to_owned(),
            Report::Alive => "alive\n".to_owned(),
            Report::AllAlive => "all-alive\n".to_owned(),
            Report::Gateways(gateways) => {
                let words = gateways.iter().map(|gateway| format!(" {gateway}"));
                format!("gateways{}\n", words.collect::<String>())
            }
        }
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Report, ()> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("ready") => Ok(Report::Ready),
            Some("alive") => Ok(Report::Alive),
            Some("all-alive") => Ok(Report::AllAlive),
            Some("gateways") => {
                words.map(|word| word.parse().map_err(drop)).collect::<Result<_, _>>().map(Report::Gateways)
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let two = ["10.0.0.1:2900", "10.0.0.2:2900"].map(|gateway| gateway.parse().unwrap());
        let gateways = [Report::Gateways(BTreeSet::new()), Report::Gateways(two.into())];
        for report in [Report::Ready, Report::Alive, Report::AllAlive].into_iter().chain(gateways) {
            assert_eq!(report.line().trim_end().parse(), Ok(report));
        }
        for other in ["", "hello", "gateways 10.0.0.1"] {
            assert_eq!(other.parse::<Report>(), Err(()));
        }
    }
}
