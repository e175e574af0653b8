//! The table of `ringway status`.

use std::net::SocketAddr;

use crate::{Report, Row};

/// A line for each process and one for each of its shards or cores. A process that did not answer has one line that
/// says why.
pub fn table(answers: &[(SocketAddr, Result<Report, String>)]) -> String {
    let mut text = String::new();
    for (address, answer) in answers {
        match answer {
            Err(why) => text.push_str(&format!("{address}: {why}\n")),
            Ok(report) => text.push_str(&process(*address, report)),
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn process(address: SocketAddr, report: &Report) -> String {
    let process = &report.process;
    let head = format!(
        "{} {} at {address}: pid {}, up {}, memory {:.1} MiB\n",
        process.program,
        process.version,
        process.pid,
        uptime(process.uptime_seconds),
        process.memory_bytes as f64 / (1024.0 * 1024.0)
    );
    let mut lines = vec![HEADINGS.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for part in parts(&report.rows) {
        lines.extend(part.iter().map(|row| cells(&row.name, &row.listen, numbers(row))));
        if part.len() > 1 {
            let sum = |column: usize| part.iter().map(|row| numbers(row)[column]).sum();
            lines.push(cells("total", "", std::array::from_fn(sum)));
        }
        notes.push_str(&counters(part));
    }
    let faults: String = report.faults.iter().map(|fault| format!("  FAULT: {fault}\n")).collect();
    head + &align(&lines) + &notes + &faults
}

/// The rows that belong together, `name:0`, `name:1` and so on: a process may hold a gateway and a worker, and a message
/// that went through both must not be added up.
fn parts(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|one, next| part_name(one) == part_name(next))
}

fn part_name(row: &Row) -> &str {
    row.name.rsplit_once(':').map_or(&row.name, |(name, _)| name)
}

/// The counters that are not 0 and have no column, summed over the rows of a part.
fn counters(rows: &[Row]) -> String {
    let mut names: Vec<&String> = rows.iter().flat_map(|row| row.counters.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !COUNTERS_SHOWN.contains(&name.as_str()));
    let sums = names
        .into_iter()
        .map(|name| (name, rows.iter().filter_map(|row| row.counters.get(name)).sum::<u64>()));
    let shown: Vec<String> =
        sums.filter(|(_, sum)| *sum > 0).map(|(name, sum)| format!("{name} {sum}")).collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!("  {} also: {}\n", part_name(&rows[0]), shown.join(", "))
    }
}

/// The columns of a row that are numbers; none where one is not known.
fn numbers(row: &Row) -> [Option<u64>; HEADINGS.len() - WORDS] {
    let Row { links, clients, uids, groups, messages_in, messages_out, dropped, .. } = *row;
    [Some(links), clients, uids, groups, Some(messages_in), Some(messages_out), Some(dropped)]
}

fn cells(name: &str, listen: &str, numbers: [Option<u64>; HEADINGS.len() - WORDS]) -> Vec<String> {
    let words = [name, listen].map(|word| if word.is_empty() { "-".to_owned() } else { word.to_owned() });
    let known = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    words.into_iter().chain(numbers.map(known)).collect()
}

/// Words to the left, numbers to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let cell = if column < WORDS { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") };
            text.push_str(&cell);
        }
        text.push('\n');
    }
    text
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

const HEADINGS: [&str; 9] = ["name", "listen", "links", "clients", "uids", "groups", "in", "out", "dropped"];

/// Counters that the columns `in` and `out` show.
const COUNTERS_SHOWN: [&str; 2] = ["messages_in", "messages_out"];

/// The first columns are words.
const WORDS: usize = 2;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Process;

    #[test]
    fn a_table_for_people() {
        let row = |name: &str, clients| Row {
            name: name.into(),
            listen: "websocket://0.0.0.0:8282".into(),
            links: 2,
            clients: Some(clients),
            messages_in: 1234,
            counters: [("clients_malformed", 2), ("messages_in", 1234), ("stalls", 0)]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            ..Row::default()
        };
        let process = Process {
            program: "gateway".into(),
            version: "0.1.0".into(),
            pid: 7,
            uptime_seconds: 3_700,
            memory_bytes: 3 * 1024 * 1024,
        };
        let report = Report {
            process,
            rows: vec![row("gateway:0", 5), row("gateway:1", 70)],
            faults: vec!["gateway:2 has ended".into()],
        };
        let address = "127.0.0.1:1".parse().unwrap();
        let shown = table(&[(address, Ok(report)), (address, Err("nobody there".into()))]);
        let expected = "\
gateway 0.1.0 at 127.0.0.1:1: pid 7, up 1 h 1 min, memory 3.0 MiB
  name       listen                    links  clients  uids  groups    in  out  dropped
  gateway:0  websocket://0.0.0.0:8282      2        5     -       -  1234    0        0
  gateway:1  websocket://0.0.0.0:8282      2       70     -       -  1234    0        0
  total      -                             4       75     -       -  2468    0        0
  gateway also: clients_malformed 4
  FAULT: gateway:2 has ended

127.0.0.1:1: nobody there
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn each_part_of_a_process_is_summed_by_itself() {
        let row = |name: &str, links| Row { name: name.into(), links, ..Row::default() };
        let rows =
            ["gateway:0", "gateway:1", "worker:0", "worker:1", "register"].map(|name| row(name, 3)).into();
        let report =
            Report { process: Process::this("ringway", "0.1.0", Duration::ZERO), rows, faults: Vec::new() };
        let shown = table(&[("127.0.0.1:1".parse().unwrap(), Ok(report))]);
        let lines = shown.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let links: Vec<_> = lines.map(|line| (line[0].to_owned(), line[2].to_owned())).collect();
        let expected = [
            ("gateway:0", "3"),
            ("gateway:1", "3"),
            ("total", "6"),
            ("worker:0", "3"),
            ("worker:1", "3"),
            ("total", "6"),
            ("register", "3"),
        ];
        assert_eq!(links, expected.map(|(name, links)| (name.to_owned(), links.to_owned())));
    }
}
